"""Failures that a user can mend end in words of ours, whatever library raised them."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaTimeoutError,
    PolicyViolationError,
    TopicAuthorizationFailedError,
)
from faust.exceptions import ConsistencyError, ProducerSendError

from stream_app import process
from stream_app.errors import BrokerError, KolError, StateError, TopicsError
from stream_app.failures import known_failure
from stream_app.settings import load_settings


def test_rows_ahead_of_their_changelog_are_a_line_that_says_what_to_do() -> None:
    known = known_failure(ConsistencyError("The persisted offset is higher\nthan the last"))
    assert isinstance(known, StateError)
    assert "KOL_DATA_DIR" in str(known)
    assert "kol rebuild" in str(known)
    assert "\n" not in str(known)


@pytest.mark.parametrize(
    "error", [KafkaConnectionError("gone"), KafkaTimeoutError(), TimeoutError()]
)
def test_a_broker_lost_on_the_way_is_a_line_that_says_so(error: Exception) -> None:
    known = known_failure(error)
    assert isinstance(known, BrokerError)
    assert "the broker was lost" in str(known)


def test_a_broker_that_refuses_is_a_line_that_says_so() -> None:
    wrapped = ProducerSendError("Error while sending")
    wrapped.__cause__ = PolicyViolationError()
    for error, name in ((TopicAuthorizationFailedError(), "TopicAuth"), (wrapped, "PolicyViol")):
        known = known_failure(error)
        assert isinstance(known, BrokerError)
        assert name in str(known)
        assert "nothing was lost" in str(known)


def test_a_disk_that_takes_no_more_is_a_line_that_says_to_make_room(tmp_path: Path) -> None:
    script = FULL_DISK.format(folder=str(tmp_path))
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    assert said.startswith("DiskError KOL_DATA_DIR: cannot write")
    assert str(tmp_path) in said
    assert "make room" in said


def test_a_process_that_ends_remembers_the_first_reason() -> None:
    said = subprocess.run(
        [sys.executable, "-c", FIRST_REASON], capture_output=True, text=True, check=True
    ).stdout
    assert said.strip() == "BrokerError('gone')"


def test_errors_of_ours_are_said_as_they_are_and_others_are_not_known() -> None:
    ours: KolError = TopicsError("missing")
    assert known_failure(ours) is ours
    assert known_failure(ZeroDivisionError()) is None


#: In a process of its own, which gets the limit: RocksDB's own error, whatever it looks like.
FULL_DISK = """
import resource
import signal
import rocksdict
from stream_app.failures import known_failure

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
rows = rocksdict.Rdict({folder!r}, rocksdict.Options(raw_mode=True))
try:
    while True:
        batch = rocksdict.WriteBatch(raw_mode=True)
        batch.put(b"key", bytes(1_000))
        rows.write(batch)
except Exception as error:
    known = known_failure(error)
    print(type(known).__name__, known)
"""

FIRST_REASON = """
import asyncio
from stream_app.errors import BrokerError
from stream_app.process import Process

loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)

import faust

process = Process(
    faust.App("any", broker="kafka://127.0.0.1:1"), loop=loop, broker_is_lost=lambda: None
)
process._crash(BrokerError("gone"))
process._crash(asyncio.CancelledError())
print(repr(process.crash_reason))
"""

CHATTER = """
import logging
from stream_app.app import run_worker
from stream_app.engine.faust_app import QuietMonitor
from stream_app.failures import set_up_logging
from stream_app.process import Beside

set_up_logging("info")
for service in (QuietMonitor, Beside):
    service.logger.info("Starting...")
logging.getLogger("stream_app.engine.leader").info("published")
"""


def test_our_own_lines_are_logged_and_not_what_faust_says_of_its_services() -> None:
    command = [sys.executable, "-c", CHATTER]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    (line,) = found.stderr.splitlines()
    assert line.endswith("published")


@pytest.mark.parametrize(
    ("soft", "hard", "raised"),
    [
        (1_024, 1_048_576, 4_900),
        (1_024, resource.RLIM_INFINITY, 4_900),
        (1_024, 4_096, 4_096),
        (8_192, 1_048_576, None),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, None),
    ],
)
def test_as_many_files_may_be_open_as_connections_and_rows_need(
    soft: int,
    hard: int,
    raised: int | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    found: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _which, limits: found.append(limits))
    process.allow_open_files(load_settings(web_streams=2_000, partitions=8))
    assert found == ([] if raised is None else [(raised, hard)])
    assert ("raise the limit" in caplog.text) == (raised == 4_096)


STUCK = """
import asyncio
import faust
from stream_app import process
from stream_app.errors import StateError

process._STOP_S = 0.5

class Stuck(process.Process):
    async def on_start(self) -> None:
        self._crash(StateError("the topic is another"))

    async def on_stop(self) -> None:
        await asyncio.Event().wait()

loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
app = faust.App("any", broker="kafka://127.0.0.1:1")
app.finalize()
worker = Stuck(app, loop=loop, broker_is_lost=lambda: None)
worker.services = []
worker.run()
"""


def test_a_worker_that_failed_ends_with_its_reason_also_where_its_stop_waits_for_ever() -> None:
    command = [sys.executable, "-c", STUCK]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert found.returncode == StateError.exit_code
    assert found.stderr.splitlines()[-1] == "kol: the topic is another"
