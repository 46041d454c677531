"""What ends a worker in words of ours, and a log that does not say it twice."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    RequestTimedOutError,
)
from faust.exceptions import ConsistencyError, ProducerSendError
from mode import Service

from stream_app.errors import BrokerError, DiskError, KolError, StateError

#: What the Kafka client raises where the broker does not answer.
_LOST = (KafkaConnectionError, KafkaTimeoutError, RequestTimedOutError, TimeoutError)
#: How Faust says that a service, and with it the process, ends.
_CRASHED = "Crashed reason=%r"
_REPEAT_S = 60.0


def known_failure(error: BaseException) -> KolError | None:
    """The error in words of ours, where a user can mend it."""
    if isinstance(error, KolError):
        return error
    if isinstance(error, ConsistencyError):
        return StateError(
            "the state in KOL_DATA_DIR is ahead of its changelog, which was made again or cut "
            "short; delete that folder: the rows come back from the changelog; where the topic "
            "was deleted and made again, start anew with `kol rebuild`"
        )
    if isinstance(error, _LOST):
        return BrokerError(
            f"the broker was lost ({_brief(error)}); nothing was lost with it: start the worker "
            "again when Kafka runs"
        )
    if isinstance(error, ProducerSendError) and error.__cause__ is not None:
        return known_failure(error.__cause__)
    if isinstance(error, KafkaError):
        return BrokerError(
            f"the broker does not take what this worker sends ({_brief(error)}); nothing was lost: "
            "mend that at the broker, then start the worker again"
        )
    if type(error) is Exception and str(error).startswith("IO error"):  # RocksDB's
        return DiskError(
            f"KOL_DATA_DIR: cannot write ({_brief(error)}); nothing was lost: make room there, or "
            "choose another, then start the worker again"
        )
    return None


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def is_client(record: logging.LogRecord) -> bool:
    """Whether the Kafka client says this."""
    return record.name.startswith("aiokafka")


def _reason(record: logging.LogRecord) -> BaseException | None:
    """Why a service has crashed, by the record that says that it has."""
    found = record.args[0] if isinstance(record.args, tuple) and record.args else None
    return found if isinstance(found, BaseException) else None


class KnownFailures(logging.Filter):
    """Leaves out the tracebacks of errors that end as one line that says what to do."""

    def __init__(self) -> None:
        super().__init__()
        self._is_ending = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write the record."""
        crashed = _CRASHED in str(record.msg)
        error = _reason(record) if crashed else record.exc_info[1] if record.exc_info else None
        known = known_failure(error) if error is not None else None
        if known is not None and (isinstance(error, _LOST) or not is_client(record)):
            # A lost connection of a library is no end yet: the broker is waited for.
            self._is_ending |= crashed or known is error or not isinstance(known, BrokerError)
            return False
        # What breaks while the process ends for a known reason is no news.
        return not (self._is_ending and record.name.startswith(("faust", "mode", "asyncio")))

    def hear_thread(self, args: threading.ExceptHookArgs) -> None:
        """Show what ended a thread, unless the process ends for a known reason anyway."""
        if not self._is_ending:
            threading.__excepthook__(args)


class Repeats(logging.Filter):
    """Lets the Kafka client say a thing once a minute, not many times a second without a broker."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write the record."""
        if not is_client(record):
            return True
        key = (record.name, str(record.msg))
        if record.created - self._said.get(key, -_REPEAT_S) < _REPEAT_S:
            return False
        self._said[key] = record.created
        return True


def set_up_logging(level: str) -> None:
    """Log to standard error: our own lines at `level`, those of libraries from warnings on."""
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    if level != "debug":
        known, repeats = KnownFailures(), Repeats()
        for handler in logging.getLogger().handlers:
            handler.addFilter(known)
            handler.addFilter(repeats)
        threading.excepthook = known.hear_thread
    logging.getLogger("stream_app").setLevel(level.upper())
    if level == "debug":
        logging.getLogger().setLevel(logging.INFO)
        return
    # Services log under the module of their class; what Faust says in those that we have extended
    # is for debugging.
    for service in _our_services(Service):
        service.logger = logging.getLogger(f"faust.{service.__name__}")


def _our_services(base: type[Service]) -> Iterator[type[Service]]:
    for service in base.__subclasses__():
        if service.__module__.startswith("stream_app."):
            yield service
        yield from _our_services(service)
