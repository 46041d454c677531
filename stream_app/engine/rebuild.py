"""Starting anew under another app id: the old app is not touched, and both may run side by side."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from stream_app.engine.leftovers import REBUILT, is_used
from stream_app.engine.topics import check_topics, create_topics, topic_names
from stream_app.errors import TopicsError
from stream_app.group_offsets import GroupOffsets, Place

if TYPE_CHECKING:
    from stream_app.settings import Settings

Start = Literal["posts", "now"]

_NUMBERED: Final = re.compile(r"(.*)-(\d+)", re.DOTALL)
_MOST_TRIES: Final = 100


@dataclass(frozen=True, kw_only=True)
class Rebuilt:
    """What was done.

    Attributes:
        app_id: the new one.
        changelog: its topic, made now.
        made: all topics made now.
        offsets: topic -> partition -> where the new app's group begins.
        records: how many records of posts and interactions it has before it.
    """

    old_app_id: str
    app_id: str
    start: Start
    changelog: str
    made: list[str]
    offsets: dict[str, dict[int, int]]
    records: int


def rebuild(settings: Settings, new: Settings | None, start: Start) -> Rebuilt:
    """The topics of a new app are there, and its group begins where `start` says.

    Args:
        settings: those of the workers so far.
        new: the same with the new app id; None takes the first that was never used.
        start: `posts`, the oldest records kept, or `now`.

    Raises:
        TopicsError: the app id was used before, or topics are missing or do not fit.
        BrokerError: the broker does not answer or refuses.
    """
    if new is None:
        new = _first_unused(settings)
    elif (why := is_used(new)) is not None:
        raise TopicsError(
            f"the app id {new.app_id} is in use ({why}); choose another with --app-id, or leave it "
            "out and one is found"
        )
    # The changelog last: a worker refuses to start without it, so it never begins elsewhere.
    made = asyncio.run(create_topics(new, changelog=False))
    offsets, records = _set_offsets(new, start)
    made += asyncio.run(create_topics(new))
    asyncio.run(check_topics(new))
    return Rebuilt(
        old_app_id=settings.app_id,
        app_id=new.app_id,
        start=start,
        changelog=topic_names(new).changelog,
        made=made,
        offsets=offsets,
        records=records,
    )


def next_ids(app_id: str) -> Iterator[str]:
    """`kol-2`, `kol-3` and on for `kol`; `kol-8` and on for `kol-7`."""
    match = _NUMBERED.fullmatch(app_id)
    name, number = (match[1], int(match[2])) if match else (app_id, 1)
    for more in range(1, _MOST_TRIES + 1):
        yield f"{name}-{number + more}"


def _first_unused(settings: Settings) -> Settings:
    for app_id in next_ids(settings.app_id):
        found = settings.model_copy(update={"app_id": app_id})
        if is_used(found) is None:
            return found
    raise TopicsError(f"no unused app id like {settings.app_id} was found; name one with --app-id")


def _set_offsets(new: Settings, start: Start) -> tuple[dict[str, dict[int, int]], int]:
    names = topic_names(new)
    sources = (names.posts, names.interactions)
    offsets: dict[Place, int] = {}
    records = 0
    with GroupOffsets(new, new.app_id) as group:
        for place in group.places((*sources, names.thresholds, names.snapshots)):
            low, high = group.bounds(place)
            offsets[place] = low if start == "posts" else high
            if place.topic in sources:
                records += high - offsets[place]
        group.commit(offsets, REBUILT)
    by_topic: dict[str, dict[int, int]] = {}
    for place, offset in offsets.items():
        by_topic.setdefault(place.topic, {})[place.partition] = offset
    return by_topic, records
