"""The worker's process: Faust and what runs beside it, signals, exit code."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import faust
from aiohttp import web
from faust.exceptions import NotReady
from mode import Service

from stream_app.engine.faust_app import SafeApp
from stream_app.errors import BrokerError, UsageError
from stream_app.failures import known_failure
from stream_app.settings import Settings
from stream_app.web.connections import KEEPALIVE_TIMEOUT_S, OTHER_CONNECTIONS

log = logging.getLogger(__name__)

_ENDINGS = (signal.SIGINT, signal.SIGTERM)
#: A process that has lost its broker ends after so long, in order or not.
_LAST_S = 10.0
#: One that was told to stop, or failed, does so whatever it waits for: supervisors kill after 30 s.
_STOP_S = 25.0
_NOTHING_LOST = "nothing was lost: what was not committed comes again, and is not counted again"
#: `max_open_files` of its RocksDB, and some.
_FILES_OF_A_PARTITION = 300


class WebServer:
    """The web API's listener: the first thing that a worker opens, so that it can say why it waits.

    Opening fails before anything else was touched, as a rule because the port is taken.
    """

    def __init__(self, web_app: web.Application, settings: Settings) -> None:
        self._settings = settings
        self._runner = web.AppRunner(
            web_app,
            access_log=None,
            shutdown_timeout=1.0,
            handler_cancellation=True,
            keepalive_timeout=KEEPALIVE_TIMEOUT_S,
            auto_decompress=False,  # no address takes a body
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


def allow_open_files(settings: Settings) -> None:
    """As many open files as connections and RocksDB take, or as many as the machine allows.

    Where they run out no connection is taken, and RocksDB cannot open what it has written.
    """
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.web_streams + OTHER_CONNECTIONS + settings.partitions * _FILES_OF_A_PARTITION
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))
    if allowed < wanted:
        log.warning("%d files may be open, %d may be needed: raise the limit", allowed, wanted)


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
            # The Faust app must not go on acknowledging without us.
            await self._app.crash(error)
            raise

    async def on_stop(self) -> None:
        """Close the web server, and what else is to be closed."""
        await self._server.close()
        self._on_end()


def _end_later(seconds: float, why: Callable[[], str | None], code: int) -> None:
    """End the process after so long, unless it has ended by then; `why` may be None: not yet."""

    def end() -> None:
        line = why()
        if line is not None:
            shown = "".join(c for c in " ".join(line.split()) if c.isprintable())
            sys.stderr.write(f"kol: {shown}\n")
            sys.stderr.flush()
            os._exit(code)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


class Process(faust.Worker):
    """Faust's worker process, with an exit code, and one line for known errors.

    `broker_is_lost` says why the broker is out of reach, in words, while it is.
    """

    def __init__(self, *args: Any, broker_is_lost: Callable[[], str | None], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._broker_is_lost = broker_is_lost

    def _crash(self, reason: BaseException) -> None:
        """Keep why it ends: what breaks after that, such as agents being cancelled, is no news."""
        if self.crash_reason is None:
            super()._crash(reason)
            self._end_in_time(reason)

    @staticmethod
    def _end_in_time(reason: BaseException) -> None:
        """Make sure that it ends: leaving in order can wait without end, as for a lost broker."""
        known = known_failure(reason)
        seconds = _LAST_S if isinstance(known, BrokerError) else _STOP_S
        _end_later(seconds, lambda: str(known or repr(reason)), known.exit_code if known else 1)

    def _schedule_shutdown(self, signal: signal.Signals) -> None:
        """Stop in order, within the time that supervisors give, also without a broker."""
        if not self._signal_stop_time:
            _end_later(_LAST_S, self._stopped_without_broker, 0)
            _end_later(_STOP_S, self._stopped_late, 0)
        super()._schedule_shutdown(signal)

    def _stopped_without_broker(self) -> str | None:
        reason = self._broker_is_lost()
        return f"told to stop while {reason}; {_NOTHING_LOST}" if reason else None

    def _stopped_late(self) -> str:
        return self._stopped_without_broker() or (
            f"told to stop, and not done within {_STOP_S:g} s; {_NOTHING_LOST}"
        )

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
