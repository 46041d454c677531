"""The worker's process: Faust and what runs beside it, signals, logging, exit code."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

import faust
from aiohttp import web
from aiokafka.errors import (
    InvalidTimestampError,
    KafkaConnectionError,
    KafkaTimeoutError,
    RequestTimedOutError,
)
from faust.exceptions import ConsistencyError, NotReady
from mode import Service

from stream_app.engine.faust_app import SafeApp
from stream_app.errors import BrokerError, FatalError, KolError, StateError, UsageError
from stream_app.settings import Settings

log = logging.getLogger(__name__)

_ENDINGS = (signal.SIGINT, signal.SIGTERM)
#: A process that has lost its broker ends after so long, in order or not.
_LAST_S = 10.0
_REPEAT_S = 60.0


class WebServer:
    """The web API's listener: the first thing that a worker opens, so that it can say why it waits.

    Opening fails before anything else was touched, as a rule because the port is taken.
    """

    def __init__(self, web_app: web.Application, settings: Settings) -> None:
        self._settings = settings
        self._runner = web.AppRunner(
            web_app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True
        )

    async def open(self) -> None:
        """Requests are answered from now on. Raises UsageError where nobody can listen."""
        settings = self._settings
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, settings.web_bind, settings.web_port).start()
        except OSError as error:
            is_port = error.errno in (errno.EADDRINUSE, errno.EACCES)
            said = os.strerror(error.errno or 0) if is_port else error.strerror  # asyncio's is long
            raise UsageError(
                f"the web API cannot listen on {settings.web_bind}:{settings.web_port} ({said}); "
                f"choose another {'KOL_WEB_PORT' if is_port else 'KOL_WEB_BIND'}"
            ) from error

    async def close(self) -> None:
        """Nobody listens any more."""
        await self._runner.cleanup()


def run_first(
    loop: asyncio.AbstractEventLoop, body: Coroutine[Any, Any, None], server: WebServer
) -> None:
    """Run what comes before the worker's own life; the server is closed where that fails.

    A signal ends the process at once, with 0. Nothing was begun by then, and a thread that waits
    for the broker or the hub, which Python would wait for, is of no use to anyone.
    """
    task = loop.create_task(body)
    for number in _ENDINGS:
        loop.add_signal_handler(number, task.cancel)
    try:
        loop.run_until_complete(task)
    except asyncio.CancelledError:
        logging.shutdown()
        os._exit(0)
    except BaseException:
        loop.run_until_complete(server.close())
        raise
    finally:
        for number in _ENDINGS:
            loop.remove_signal_handler(number)


class Beside(Service):
    """Runs the loops beside the Faust app; one failure stops the process."""

    def __init__(
        self,
        *,
        app: SafeApp,
        loops: Sequence[Callable[[], Any]],
        server: WebServer,
        on_end: Callable[[], None],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._app = app
        self._loops = loops
        self._server = server
        self._on_end = on_end

    async def on_start(self) -> None:
        """Let the loops run."""
        for loop_body in self._loops:
            self.add_future(self._guarded(loop_body))

    async def _guarded(self, body: Callable[[], Any]) -> None:
        try:
            await body()
        except asyncio.CancelledError:
            raise
        except NotReady:
            # The producer is gone once an orderly stop has seen all records through.
            if not self._app.should_stop:
                raise
        except Exception as error:
            if isinstance(error, BrokerError):
                _end_in_time(error)
            # The Faust app must not go on acknowledging without us.
            await self._app.crash(error)
            raise

    async def on_stop(self) -> None:
        """Close the web server, and what else is to be closed."""
        await self._server.close()
        self._on_end()


def _end_in_time(error: BrokerError) -> None:
    """Make sure that the process ends: leaving a group in order waits for a broker without end."""

    def end() -> None:
        sys.stderr.write(f"kol: {error}\n")
        sys.stderr.flush()
        os._exit(error.exit_code)

    timer = threading.Timer(_LAST_S, end)
    timer.daemon = True
    timer.start()


class Process(faust.Worker):
    """Faust's worker process, with an exit code, and one line for known errors."""

    def _setup_logging(self) -> None:
        """Leave logging as the program has set it up."""

    async def _sentinel_task(self) -> None:
        """Give closing connections a moment, where mode sleeps for a second."""
        await asyncio.sleep(0.1)

    def run(self) -> int:
        """Run until a signal or a failure; returns the exit code."""
        failure: BaseException | None = None
        starting = asyncio.ensure_future(self.start(), loop=self.loop)
        self._starting_fut = starting
        try:
            self.loop.run_until_complete(starting)
        except asyncio.CancelledError:
            pass
        except Exception as error:  # every failure ends in the exit code below
            failure = error
        try:
            self.on_worker_shutdown()
            self.stop_and_shutdown()
        except Exception as error:  # the crash's reason is raised here once more
            failure = failure or error
        if failure is None:
            return 0
        known = known_failure(failure)
        if known is not None:
            raise known from failure
        log.error("the worker stops: %r", failure, exc_info=failure)
        return 1


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
    if isinstance(error, InvalidTimestampError):
        return FatalError(
            "the broker refuses what this worker writes for its time: this machine's clock, or the "
            "broker's, is more than an hour off; set it right and start the worker again; nothing "
            "was lost"
        )
    if isinstance(error, KafkaConnectionError | KafkaTimeoutError | RequestTimedOutError):
        return BrokerError(
            f"the broker was lost ({_brief(error)}); nothing was lost with it: start the worker "
            "again when Kafka runs"
        )
    return None


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


class KnownFailures(logging.Filter):
    """Leaves out the tracebacks of errors that end as one line that says what to do."""

    def __init__(self) -> None:
        super().__init__()
        self._is_ending = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write the record."""
        error = record.exc_info[1] if record.exc_info else None
        known = known_failure(error) if error is not None else None
        if known is not None:
            # A lost connection of a library is no end yet: the broker is waited for.
            self._is_ending |= known is error or not isinstance(known, BrokerError)
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
        if not record.name.startswith("aiokafka"):
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
