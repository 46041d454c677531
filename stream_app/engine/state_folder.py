"""The folder of an app's rows on this machine: whose it is, and that nobody else uses it.

Rows of another app, other topics or a changelog made anew would be taken for this worker's own:
RocksDB cannot tell. So every app has a folder of its own below KOL_DATA_DIR, and a small file in
it says what its rows were read from. Whatever does not fit is refused before Faust opens it; it
can always be deleted, for the rows come back from the changelog.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from filelock import FileLock, Timeout

from stream_app.errors import StateError

if TYPE_CHECKING:
    from stream_app.settings import Settings

#: Version of the layout below an app's folder; raise it when an older program must not read it.
FORMAT: Final = 1

IDENTITY: Final = "identity.json"
_LOCK: Final = "lock"
_UNFINISHED: Final = "identity.json.new"

_WAYS_OUT: Final = (
    "choose another KOL_DATA_DIR, or delete that folder: the rows come back from the changelog"
)


class Identity(msgspec.Struct, kw_only=True, frozen=True):
    """What the rows of a folder were read from."""

    format: int = FORMAT
    app_id: str
    prefix: str
    partitions: int
    #: id of the changelog topic at the broker; empty where the broker gives none
    changelog_id: str = ""


class _Format(msgspec.Struct, frozen=True):
    """All that can be said of an identity before its format is known."""

    format: int


def state_folder(settings: Settings) -> Path:
    """Where an app's rows lie; not the app id alone, for `.` and `..` are app ids too."""
    return settings.data_dir / f"app-{settings.app_id}"


class StateFolder:
    """The folder of this worker's app, held by this process from `open` to `close`."""

    def __init__(self, settings: Settings) -> None:
        self.path = state_folder(settings)
        self._data_dir = settings.data_dir
        self._changelog = settings.topic(f"{settings.app_id}-users-changelog")
        self._own = Identity(
            app_id=settings.app_id, prefix=settings.prefix, partitions=settings.partitions
        )
        self._lock = FileLock(self.path / _LOCK, timeout=0)

    def open(self) -> None:
        """The folder is there, writable, this worker's alone, and of an app like this one.

        Raises:
            StateError: one line that says what is wrong with it and how to mend it.
        """
        try:
            self._make()
            self._lock.acquire()
        except Timeout:
            raise StateError(
                f"KOL_DATA_DIR: {self.path} is in use by another running worker; give each worker "
                "a KOL_DATA_DIR of its own"
            ) from None
        except (OSError, NotImplementedError) as error:  # the latter: no locks on this file system
            raise self._unusable(error) from None
        found = self._read()
        if found is not None:
            self._compare(found)

    def claim(self, changelog_id: str) -> None:
        """From now on the rows in the folder are those of this changelog.

        Args:
            changelog_id: empty where the broker gives topics no ids, which fits every folder.

        Raises:
            StateError: they were read from another changelog.
        """
        found = self._read()
        known = found.changelog_id if found is not None else ""
        if known and changelog_id and known != changelog_id:
            raise StateError(
                f"KOL_DATA_DIR: {self.path} was filled from another topic {self._changelog} than "
                f"the one at this broker; with another Kafka {_WAYS_OUT}; where the topic was "
                "deleted and made again, start anew with `kol rebuild`"
            )
        identity = msgspec.structs.replace(self._own, changelog_id=changelog_id or known)
        if identity == found:
            return
        unfinished = self.path / _UNFINISHED
        try:
            unfinished.write_bytes(msgspec.json.encode(identity) + b"\n")
            unfinished.replace(self.path / IDENTITY)
        except OSError as error:
            raise self._unusable(error) from None

    def close(self) -> None:
        """Another worker may have it."""
        self._lock.release()

    def _make(self) -> None:
        for folder in (self._data_dir, self.path):
            if folder.exists() and not folder.is_dir():
                raise StateError(f"KOL_DATA_DIR: {folder} is not a folder; choose another")
        self.path.mkdir(parents=True, exist_ok=True)
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    def _read(self) -> Identity | None:
        """The identity that the folder has; None for a folder that nobody has used."""
        try:
            data = (self.path / IDENTITY).read_bytes()
        except FileNotFoundError:
            self._refuse_strangers()
            return None
        except OSError as error:
            raise self._unusable(error) from None
        try:
            self._refuse_newer(msgspec.json.decode(data, type=_Format).format)
            return msgspec.json.decode(data, type=Identity)
        except msgspec.MsgspecError:
            raise StateError(
                f"KOL_DATA_DIR: {self.path / IDENTITY} cannot be read; {_WAYS_OUT}"
            ) from None

    def _refuse_strangers(self) -> None:
        others = sorted({path.name for path in self.path.iterdir()} - {_LOCK, _UNFINISHED})
        if others:
            raise StateError(
                f"KOL_DATA_DIR: {self.path} holds {others[0]} and no {IDENTITY}, so it is no "
                f"worker's state; {_WAYS_OUT}"
            )

    def _refuse_newer(self, found: int) -> None:
        if found > FORMAT:
            raise StateError(
                f"KOL_DATA_DIR: {self.path} is of format {found}, this program knows {FORMAT}: "
                f"use the program that made it, or {_WAYS_OUT}"
            )

    def _compare(self, found: Identity) -> None:
        for name in ("app_id", "prefix", "partitions"):
            theirs, ours = getattr(found, name), getattr(self._own, name)
            if theirs != ours:
                raise StateError(
                    f"KOL_DATA_DIR: {self.path} is the state of KOL_{name.upper()}={theirs}, this "
                    f"worker has KOL_{name.upper()}={ours}: {_WAYS_OUT}"
                )

    def _unusable(self, error: OSError | NotImplementedError) -> StateError:
        said = getattr(error, "strerror", None) or error
        return StateError(
            f"KOL_DATA_DIR: cannot write in {self.path} ({said}); make it writable for this user, "
            "or choose another"
        )
