"""The order of imports, as import-linter's contracts in pyproject.toml state it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_rooms_import_downwards_only_and_the_core_stays_pure() -> None:
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    found = subprocess.run(
        [sys.executable, "-c", command, "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_core_and_the_messages_load_nothing_heavy() -> None:
    """So that their tests, and the commands that only need them, start in a moment."""
    rooms = ("messages", "core.aggregate", "core.transitions", "core.ranking", "core.columns")
    imports = "; ".join(f"import stream_app.{room}" for room in rooms)
    heavy = ("faust", "torch", "transformers", "aiohttp", "aiokafka", "pydantic_settings")
    check = f"{imports}; import sys; print([name for name in {heavy!r} if name in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
