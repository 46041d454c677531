"""The worker's process: Faust and what runs beside it, signals, logging, exit code."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

import faust
from aiohttp import web
from faust.exceptions import NotReady
from mode import Service

from stream_app.engine.consumer import SafeConsumer, SafeConsumerThread
from stream_app.engine.faust_app import SafeApp
from stream_app.engine.producer import SafeProducer
from stream_app.engine.recovery import SafeRecovery, SafeTableManager
from stream_app.engine.user_table import UserTable
from stream_app.errors import KolError, UsageError
from stream_app.settings import Settings

log = logging.getLogger(__name__)


class Beside(Service):
    """Runs the web server and the loops beside the Faust app; one failure stops the process."""

    def __init__(
        self,
        *,
        app: SafeApp,
        loops: Sequence[Callable[[], Any]],
        web_app: web.Application,
        settings: Settings,
        on_end: Callable[[], None],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._app = app
        self._loops = loops
        self._settings = settings
        self._on_end = on_end
        self._runner = web.AppRunner(
            web_app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True
        )

    async def on_start(self) -> None:
        """Open the web server, then let the loops run."""
        settings = self._settings
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, settings.web_bind, settings.web_port).start()
        except OSError as error:
            raise UsageError(
                f"the web API cannot listen on {settings.web_bind}:{settings.web_port} "
                f"({error.strerror}); choose another KOL_WEB_PORT"
            ) from error
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
        await self._runner.cleanup()
        self._on_end()


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
        if isinstance(failure, KolError):
            raise failure
        log.error("the worker stops: %r", failure, exc_info=failure)
        return 1


_FAUST_SERVICES: tuple[type[Any], ...] = (
    SafeApp,
    SafeConsumer,
    SafeConsumerThread,
    SafeTableManager,
    SafeRecovery,
    SafeProducer,
    UserTable,
    Beside,
)


class KnownFailures(logging.Filter):
    """Leaves out the tracebacks of errors that end as one line that says what to do."""

    def __init__(self) -> None:
        super().__init__()
        self._is_ending = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write the record."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, KolError):
            self._is_ending = True
            return False
        # What breaks while the process ends for a known reason is no news.
        return not (self._is_ending and record.name.startswith(("faust", "mode", "asyncio")))


def set_up_logging(level: str) -> None:
    """Log to standard error: our own lines at `level`, those of libraries from warnings on."""
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    if level != "debug":
        for handler in logging.getLogger().handlers:
            handler.addFilter(KnownFailures())
    logging.getLogger("stream_app").setLevel(level.upper())
    if level == "debug":
        logging.getLogger().setLevel(logging.INFO)
        return
    # Faust's services log under the module of their subclass; what they say is for debugging.
    for service in _FAUST_SERVICES:
        service.logger = logging.getLogger(f"faust.{service.__name__}")
