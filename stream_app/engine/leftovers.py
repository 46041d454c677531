"""What an earlier life of an app id left at the broker.

Committed offsets and snapshots tell of rows. Where the changelog does not hold them any more, a
worker would go on from the middle of `posts` with empty rows and draw false lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stream_app.engine.internal_records import record_key
from stream_app.engine.topics import topic_names
from stream_app.errors import StateError
from stream_app.group_offsets import GroupOffsets

if TYPE_CHECKING:
    from stream_app.settings import Settings

#: Noted with offsets that `kol rebuild` commits: they tell of no rows.
REBUILT: Final = "kol rebuild"


def is_used(settings: Settings) -> str | None:
    """How an app id shows that it was used before, in words; None when nothing tells of it."""
    names = topic_names(settings)
    with GroupOffsets(settings, settings.app_id) as group:
        if group.places([names.changelog]):
            return f"its topic {names.changelog} exists"
        consumed = (names.posts, names.interactions, names.thresholds, names.snapshots)
        if group.committed(group.places(consumed)):
            return f"its consumer group {settings.app_id} has committed offsets"
        if _snapshots(group, settings):
            return f"{names.snapshots} has records of it"
    return None


def refuse_lost_rows(settings: Settings) -> None:
    """Raise StateError where rows that were kept are not in the changelog any more."""
    names = topic_names(settings)
    with GroupOffsets(settings, settings.app_id) as group:
        if not _empty(group, names.changelog):
            return
        sources = group.places((names.posts, names.interactions))
        told = {
            place.partition
            for place, committed in group.committed(sources).items()
            if committed.note != REBUILT
        }
        told |= _snapshots(group, settings)
        # Asked last: a worker that starts just now writes its first row before it tells of any.
        lost = sorted(told & _empty(group, names.changelog))
    if lost:
        raise StateError(
            f"the rows of partition {lost[0]} are gone: {names.changelog} is empty, yet the app "
            f"{settings.app_id} has scored posts before; start anew with `kol rebuild`, or bring "
            "the topic back"
        )


def _empty(group: GroupOffsets, topic: str) -> set[int]:
    return {place.partition for place in group.places([topic]) if group.bounds(place)[1] == 0}


def _snapshots(group: GroupOffsets, settings: Settings) -> set[int]:
    """Partitions of which the app has published a snapshot."""
    prefix = record_key(settings.app_id, "")
    keys = group.keys(topic_names(settings).snapshots)
    return {int(key[len(prefix) :]) for key in keys if key.startswith(prefix)}
