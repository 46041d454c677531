"""The encoders' part: the same model and texts, each in a process of its own, in turns."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from transformers import AutoTokenizer

from benchmarks.encoder.subjects import texts
from benchmarks.rivals.environments import environ_of, python_of
from benchmarks.rivals.rivals import Rival

LEAST_TEXTS = 4


class Contender:
    """A rival's process that has loaded the model and waits for its turn."""

    def __init__(
        self, rival: Rival, precision: str, model: Path, posts: Sequence[str], folder: Path
    ) -> None:
        assert rival.encoder is not None
        self.name = f"{rival.name}, {precision}"
        self.rates: list[float] = []
        self._texts = max(LEAST_TEXTS, int(len(posts) * rival.share))
        given = folder / f"{rival.encoder}-{precision}.json"
        given.write_text(json.dumps(posts[: self._texts]))
        python = python_of(rival.requirements) if rival.requirements else Path(sys.executable)
        self._log = given.with_suffix(".log").open("w+")
        self._process = subprocess.Popen(
            [
                *(str(python), "-m", rival.encoder),
                *("--folder", str(model), "--texts", str(given), "--precision", precision),
            ],
            env=environ_of({}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self.threads = int(json.loads(self._read())["threads"])

    def turn(self) -> None:
        """It encodes its texts, while the others sleep."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        self.rates.append(self._texts / float(self._read()))

    def end(self) -> None:
        """The process is gone."""
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            raise RuntimeError(f"{self.name} has ended: {self._log.read()[-2000:]}")
        return line


@contextlib.contextmanager
def contenders(
    rivals: Iterable[Rival], model: Path, posts: Sequence[str], folder: Path
) -> Iterator[list[Contender]]:
    """Every encoder of these rivals in every precision, loaded and warm."""
    found: list[Contender] = []
    try:
        for rival in rivals:
            for precision in rival.precisions:
                sys.stderr.write(f"loading {rival.name}, {precision}\n")
                found.append(Contender(rival, precision, model, posts, folder))
        yield found
    finally:
        for one in found:
            one.end()


def measure(
    rivals: Iterable[Rival],
    model: Path,
    lengths: Sequence[int],
    count: int,
    rounds: int,
    folder: Path,
) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Posts/s of each contender in each round, and the threads of each.

    Args:
        rivals: those with an encoder.
        model: a folder with a GPT-2.
        lengths: of texts in tokens, again and again.
        count: of texts in a turn; slow contenders get fewer.
        rounds: turns of each.
        folder: for texts and logs.
    """
    posts = texts(
        AutoTokenizer.from_pretrained(model),
        list(itertools.islice(itertools.cycle(lengths), count)),
    )
    with contenders(rivals, model, posts, folder) as some:
        for number in range(rounds):
            first = number % len(some)
            for one in some[first:] + some[:first]:
                one.turn()
        return {one.name: one.rates for one in some}, {one.name: one.threads for one in some}
