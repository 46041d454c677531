import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import torch

from stream_app.encoder.lanes import Lanes


@pytest.fixture
def threads() -> Iterator[int]:
    """A number of torch's threads that is not 1, put back after the test."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield 3
    torch.set_num_threads(before)


def test_items_of_several_are_each_the_work_of_one_thread_in_order(threads: int) -> None:
    both = threading.Barrier(2)  # passed only where two run at once

    def run(item: int) -> tuple[int, int]:
        both.wait(timeout=30)
        return item, torch.get_num_threads()

    assert Lanes(2).map(run, range(6)) == [(item, 1) for item in range(6)]


def test_an_item_alone_has_one_thread_and_everything_else_has_all(threads: int) -> None:
    lanes = Lanes(2)
    assert torch.get_num_threads() == threads
    assert lanes.map(lambda _: torch.get_num_threads(), ["one"]) == [1]
    elsewhere: list[int] = []
    thread = threading.Thread(target=lambda: elsewhere.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert elsewhere == [threads]


def test_one_lane_is_the_caller_s_own_thread(threads: int) -> None:
    me = threading.get_ident()
    assert Lanes(1).map(lambda _: threading.get_ident(), range(3)) == [me] * 3


def test_an_error_in_a_lane_is_the_caller_s() -> None:
    with pytest.raises(ZeroDivisionError):
        Lanes(2).map(lambda n: 1 // n, [1, 0])


IDLE = """
import sys
from stream_app.cli.leaving import leave
from stream_app.encoder.lanes import Lanes

lanes = Lanes(2)
code = leave(7)
print("returned", flush=True)
sys.exit(code)
"""


def test_idle_lanes_do_not_keep_a_process_from_ending_as_any_other() -> None:
    command = [sys.executable, "-c", IDLE]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (found.stdout, found.returncode) == ("returned\n", 7)


def test_threads_that_cannot_all_be_had_are_an_error_and_none_is_left_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start, started = threading.Thread.start, list[threading.Thread]()

    def second_fails(thread: threading.Thread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", second_fails)
    with pytest.raises(RuntimeError):
        Lanes(2)
    started[0].join(timeout=30)
    assert not started[0].is_alive()
