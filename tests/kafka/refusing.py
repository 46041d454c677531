"""What a worker says that must not go on."""

from __future__ import annotations

from typing import Any

from tests.kafka.worker import Worker


def refusal(worker: Worker, *, code: int = 2, **environment: Any) -> str:
    """The one line that it says before it ends; `environment` as KOL_*, for this life only."""
    worker.log_path.unlink(missing_ok=True)
    worker.launch(log_level="error", **environment)
    assert worker.wait() == code
    said = worker.log_path.read_text().splitlines()
    assert len(said) == 1, "\n".join(said)
    assert said[0].startswith("kol: ")
    return said[0]
