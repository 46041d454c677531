"""`kol demo` as a whole, on a small file: broker, worker, replay, promotions, summary, end."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil  # type: ignore[import-untyped] # it has no types of its own
import pytest

from stream_app.messages import encode_post
from tests.builders import NOON, make_post

pytestmark = pytest.mark.slow

USERS = 150  # 100 would draw a line


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    path = tmp_path / "posts.jsonl"
    lines = (
        encode_post(
            make_post(
                user_id=f"u{number}", text="", created_at=NOON + number, like_count=number * number
            )
        )
        for number in range(USERS)
    )
    path.write_bytes(b"\n".join(lines) + b"\nnonsense\n")
    return path


@contextmanager
def demo(posts: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "stream_app", "demo", "--posts", str(posts), "--port", "0"]
    with subprocess.Popen(
        [*command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "TMPDIR": str(posts.parent), "KOL_TORCH_THREADS": "1"},
    ) as running:
        timer = threading.Timer(120, running.kill)
        timer.start()
        yield running
        timer.cancel()


def said_until(demo: subprocess.Popen[str], words: str) -> list[str]:
    assert demo.stdout is not None
    lines: list[str] = []
    for line in demo.stdout:
        lines.append(line.rstrip("\n"))
        if words in line:
            return lines
    raise AssertionError(f"{words!r} was never said: {lines} {demo.communicate()}")


def check_summary(lines: Sequence[str]) -> None:
    kols = [re.fullmatch(rf"(\d+) KOLs of {USERS} users", line) for line in lines]
    (count,) = (int(match[1]) for match in kols if match)
    assert 15 <= count <= 17
    assert len([line for line in lines if "  promoted  " in line]) >= count
    assert any("150 posts of 150 users, 1 bad line; last at 2014-07-01 12:00" in s for s in lines)


def test_once_it_ends_with_a_summary_and_nothing_is_left(posts: Path) -> None:
    with demo(posts, "--once") as running:
        said, complaints = running.communicate()
    assert running.returncode == 0, complaints
    lines = said.splitlines()
    check_summary(lines)
    assert lines[-1].endswith("users")
    assert "posts.jsonl:151: invalid-json" in complaints
    assert not list(posts.parent.glob("kol-demo-*"))


def test_it_goes_on_serving_until_an_interrupt_which_ends_it_with_0(posts: Path) -> None:
    with demo(posts) as running:
        lines = said_until(running, "replay done")
        check_summary(lines)
        workers = psutil.Process(running.pid).children(recursive=True)
        assert workers
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate()
    assert running.returncode == 0
    assert said == "ended\n"
    assert not [worker for worker in workers if worker.is_running()]
    assert not list(posts.parent.glob("kol-demo-*"))
