"""What must hold before the first record is read: the program stands on one exact Faust."""

from __future__ import annotations

from typing import Any

import faust
from faust import streams

from stream_app.engine.conductor import QuickConductor
from stream_app.engine.consumer import SafeConsumer
from stream_app.engine.faust_app import SafeApp
from stream_app.engine.recovery import SafeRecovery, SafeTableManager
from stream_app.engine.stream import QuickStream
from stream_app.engine.user_table import UserTable
from stream_app.errors import UsageError

#: The version whose behaviour the engine's subclasses were measured against.
FAUST_VERSION = "0.15.3"


def check_faust(app: SafeApp, table: Any) -> None:
    """Raise UsageError unless the pinned Faust runs with its C extension and our repairs."""
    if faust.__version__ != FAUST_VERSION:
        raise UsageError(
            f"faust-streaming {faust.__version__} is installed, this program needs exactly "
            f"{FAUST_VERSION}: pip install faust-streaming=={FAUST_VERSION}"
        )
    if getattr(streams, "_CStreamIterator", None) is None:
        raise UsageError(
            "faust-streaming was installed without its C extension, which skips events after a "
            "rebalance differently: install a binary wheel of it (not NO_CYTHON, not from source)"
        )
    stream: Any = app.conf.Stream
    transport = app._new_transport()  # noqa: SLF001
    repaired = (
        isinstance(app.tables, SafeTableManager)
        and isinstance(app.tables.recovery, SafeRecovery)
        and isinstance(table, UserTable)
        and stream is QuickStream
        and transport.Consumer is SafeConsumer
        and transport.Conductor is QuickConductor
    )
    if not repaired:
        raise UsageError(
            "the Faust app runs without the engine's repairs; build it with create_app"
        )
