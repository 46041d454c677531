"""Failures that a user can mend end in words of ours, whatever library raised them."""

import resource
import subprocess
import sys

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError
from faust.exceptions import ConsistencyError

from stream_app import process
from stream_app.errors import BrokerError, KolError, StateError, TopicsError
from stream_app.process import known_failure
from stream_app.settings import load_settings


def test_rows_ahead_of_their_changelog_are_a_line_that_says_what_to_do() -> None:
    known = known_failure(ConsistencyError("The persisted offset is higher\nthan the last"))
    assert isinstance(known, StateError)
    assert "KOL_DATA_DIR" in str(known)
    assert "kol rebuild" in str(known)
    assert "\n" not in str(known)


@pytest.mark.parametrize("error", [KafkaConnectionError("gone"), KafkaTimeoutError()])
def test_a_broker_lost_on_the_way_is_a_line_that_says_so(error: Exception) -> None:
    known = known_failure(error)
    assert isinstance(known, BrokerError)
    assert "the broker was lost" in str(known)


def test_errors_of_ours_are_said_as_they_are_and_others_are_not_known() -> None:
    ours: KolError = TopicsError("missing")
    assert known_failure(ours) is ours
    assert known_failure(ZeroDivisionError()) is None


CHATTER = """
import logging
from stream_app.app import run_worker
from stream_app.engine.faust_app import QuietMonitor
from stream_app.process import Beside, set_up_logging

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
