"""Threads of the encoder beside the engine's: `python -m benchmarks.encoder.threads`.

Each row is a process of its own, in which a thread does what the engine does (small JSON in
Python, holding the interpreter's lock) while another encodes. Reported: posts a second alone and
beside that thread, and how much of its work alone that thread still does.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

SECONDS = 6.0
#: what is set for each row before torch starts
ROWS: dict[str, dict[str, str]] = {
    "one thread a core": {},
    "one thread less": {"KOL_TORCH_THREADS": str(max(1, (os.cpu_count() or 2) - 1))},
    "waiting threads sleep": {"OMP_WAIT_POLICY": "PASSIVE"},
    "threads pinned to cores": {"OMP_PROC_BIND": "true"},
}


class Engine(threading.Thread):
    """Counts how often it could do a small piece of work."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.done = 0
        self._ended = threading.Event()

    def run(self) -> None:
        post = {"id": "1", "text": "some text", "counts": list(range(40))}
        while not self._ended.is_set():
            json.loads(json.dumps(post))
            self.done += 1

    def work(self, seconds: float) -> float:
        """Pieces a second while the caller does something else for so long."""
        before, start = self.done, time.perf_counter()
        time.sleep(seconds)
        return (self.done - before) / (time.perf_counter() - start)

    def end(self) -> None:
        self._ended.set()
        self.join()


def encoding(encode: Any, posts: list[str], seconds: float) -> float:
    """Posts a second over at least so long."""
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        encode(posts)
        done += len(posts)
    return done / (time.perf_counter() - start)


def one_row(folder: str, rounds: int) -> dict[str, float]:
    """In this process, under the environment it was started with."""
    from transformers import AutoTokenizer

    from benchmarks.encoder.subjects import TOKENS, texts
    from stream_app.encoder import create_encoder
    from stream_app.settings import load_settings

    encode = create_encoder(load_settings(encoder=folder, text_cache=0, device="cpu")).encode
    posts = texts(AutoTokenizer.from_pretrained(folder), [TOKENS] * 25)
    encode(posts)
    alone, beside, engine_alone, engine_beside = [], [], [], []
    for _ in range(rounds):
        alone.append(encoding(encode, posts, SECONDS))
        engine = Engine()
        engine.start()
        engine_alone.append(engine.work(1.0))
        before, start = engine.done, time.perf_counter()
        beside.append(encoding(encode, posts, SECONDS))
        engine_beside.append((engine.done - before) / (time.perf_counter() - start))
        engine.end()
    return {
        "posts_per_second": round(median(alone), 2),
        "posts_per_second_beside": round(median(beside), 2),
        "engine_keeps": round(median(engine_beside) / median(engine_alone), 2),
    }


def measure(folder: str, environ: Mapping[str, str], rounds: int) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.encoder.threads", "--row", folder, f"--rounds={rounds}"],
        env=dict(os.environ) | dict(environ),
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--row", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        print(json.dumps(one_row(options.row, options.rounds)))
        return
    from benchmarks import environment
    from benchmarks.encoder.subjects import write_small_shape

    with tempfile.TemporaryDirectory() as made:
        folder = str(write_small_shape(Path(made)))
        rows = {name: measure(folder, some, options.rounds) for name, some in ROWS.items()}
    print(json.dumps({**environment.describe(("torch",)), "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
