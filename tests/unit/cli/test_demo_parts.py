"""The parts of `kol demo`, each alone."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped] # it has no types of its own
import pytest

from stream_app.cli.demo.ports import free_port
from stream_app.cli.demo.settling import Settling, reaches
from stream_app.cli.demo.show import wait_until_ready
from stream_app.cli.demo.summary import summary_lines
from stream_app.cli.demo.worker_process import WorkerDied, WorkerProcess
from stream_app.cli.web_client import WebClient
from stream_app.errors import FatalError, UsageError
from stream_app.settings import load_settings
from tests.builders import NOON, make_interaction, make_post
from tests.unit.cli.fake_api import RANKINGS

ENDLESS = "import sys, time; print('up', flush=True); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + ENDLESS


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def wait_for_line(worker: WorkerProcess) -> None:
    while not worker.last_lines():
        worker.check()
        time.sleep(0.01)


def wait_for_end(worker: WorkerProcess) -> None:
    while True:
        worker.check()
        time.sleep(0.01)


@pytest.mark.parametrize("program", [ENDLESS, STUBBORN], ids=["willing", "stubborn"])
def test_leaving_ends_the_worker(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream_app.cli.demo.worker_process._GRACE_S", 0.3)
    with WorkerProcess({}, tmp_path / "log", python(program)) as worker:
        wait_for_line(worker)
    assert not psutil.pid_exists(worker.pid)


def test_leaving_ends_what_the_worker_started(tmp_path: Path) -> None:
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {ENDLESS!r}])"
    with WorkerProcess({}, tmp_path / "log", python(program)) as worker:
        wait_for_line(worker)
        (child,) = psutil.Process(worker.pid).children()
    child.wait(5)


def test_the_worker_sees_its_settings(tmp_path: Path) -> None:
    program = "import os; print(os.environ['KOL_BROKER']); " + ENDLESS
    with WorkerProcess({"KOL_BROKER": "h:1"}, tmp_path / "log", python(program)) as worker:
        wait_for_line(worker)
        assert worker.last_lines()[0] == "h:1"


def test_a_worker_that_dies_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    program = "print('\\n'.join(f'line {i}' for i in range(100))); raise SystemExit(1)"
    with (
        WorkerProcess({}, tmp_path / "log", python(program)) as worker,
        pytest.raises(WorkerDied, match=r"exit code 1.*log") as died,
    ):
        wait_for_end(worker)
    assert died.value.lines[-1] == "line 99"
    assert len(died.value.lines) == 15


def test_what_the_worker_finds_to_mend_is_said_in_its_words(tmp_path: Path) -> None:
    program = "print('kol: no such model'); raise SystemExit(2)"
    with (
        WorkerProcess({}, tmp_path / "log", python(program)) as worker,
        pytest.raises(UsageError, match=r"^no such model$"),
    ):
        wait_for_end(worker)


def test_a_real_worker_ends_when_its_parent_dies_without_a_word(tmp_path: Path) -> None:
    # A broker that swallows everything keeps the worker busy with its first question.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        broker = f"127.0.0.1:{silent.getsockname()[1]}"
        log = str(tmp_path / "log")
        program = (
            "import time; from pathlib import Path;"
            "from stream_app.cli.demo.worker_process import WorkerProcess;"
            f"worker = WorkerProcess({{'KOL_BROKER': {broker!r}}}, Path({log!r}));"
            "worker.__enter__(); print(worker.pid, flush=True); time.sleep(600)"
        )
        with subprocess.Popen(
            python(program), stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
        ) as parent:
            assert parent.stdout is not None
            worker = psutil.Process(int(parent.stdout.readline()))
            silent.accept()[0].close()
            parent.send_signal(signal.SIGKILL)
        psutil.wait_procs([worker], timeout=30)
        assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE


def test_a_free_port_is_taken_as_wanted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert free_port("127.0.0.1", port, or_any=False) == port


def test_a_taken_port_gives_way_only_if_nobody_chose_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert free_port("127.0.0.1", port, or_any=True) not in (0, port)
        with pytest.raises(UsageError, match=f"port {port}"):
            free_port("127.0.0.1", port, or_any=False)


def test_port_0_is_any_free_port() -> None:
    assert free_port("127.0.0.1", 0, or_any=False) > 0


THRESHOLD = {"version": 1, "as_of": "t", "population": 5, "cut": {"posts": {"0": 10, "1": 4}}}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_settled_is_a_line_from_everything_that_stands_still() -> None:
    clock = Clock()
    settling = Settling(clock)
    assert not settling.is_settled(THRESHOLD, "posts", {0: 10, 1: 4})
    clock.now = 2.0
    assert not settling.is_settled(THRESHOLD | {"version": 2}, "posts", {0: 10, 1: 4})
    clock.now = 4.0
    assert settling.is_settled(THRESHOLD | {"version": 2}, "posts", {0: 10, 1: 4})
    settling.disturb()
    assert not settling.is_settled(THRESHOLD | {"version": 2}, "posts", {0: 10, 1: 4})


def test_a_cut_that_stays_short_is_waited_for_longer_but_not_forever() -> None:
    clock = Clock()
    settling = Settling(clock)
    settling.is_settled(THRESHOLD, "posts", {0: 11})
    clock.now = 4.0
    assert not settling.is_settled(THRESHOLD, "posts", {0: 11})
    clock.now = 10.0
    assert settling.is_settled(THRESHOLD, "posts", {0: 11})


def test_a_cut_reaches_when_it_contains_every_partition() -> None:
    assert reaches({"posts": {"0": 10, "1": 4}}, "posts", {0: 10, 1: 4})
    assert not reaches({"posts": {"0": 10}}, "posts", {0: 10, 1: 4})
    assert reaches({}, "posts", {0: 0})


def test_interactions_are_counted_apart_from_the_posts() -> None:
    lines = summary_lines([make_post(), make_interaction()], 0, 2.0, RANKINGS)
    assert lines[0].startswith("1 post of 1 user, 1 interaction; last at ")
    assert lines[1] == "scored in 2.0 s: 1 events/s"


def test_the_last_line_counts_kols_among_those_who_can_be() -> None:
    posts = [make_post(), make_post(observed_at=NOON + 1), make_post(user_id="u2")]
    lines = summary_lines(posts, 1, 2.0, RANKINGS)
    assert lines[0].startswith("2 posts of 2 users, 1 newer reading of their counts, 1 bad line;")
    assert lines[1] == "scored in 2.0 s: 2 posts/s"
    assert lines[-1] == "7 KOLs of 1801 users"


def test_a_worker_that_takes_too_long_is_named_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream_app.cli.demo.show._READY_WITHIN_S", 0.0)
    nobody = WebClient(
        load_settings(), f"http://127.0.0.1:{free_port('127.0.0.1', 0, or_any=True)}"
    )
    with (
        WorkerProcess({}, tmp_path / "log", python(ENDLESS)) as worker,
        pytest.raises(FatalError, match=rf"not ready within 0 s; its log is {tmp_path}/log"),
    ):
        wait_until_ready(worker, nobody)
