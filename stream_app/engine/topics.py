"""The one table of our topics: what they are called, how they are made, whether they fit.

Every topic is made by `create_topics`, never by a broker's auto-creation, which would give it any
number of partitions. That the P topics have equally many is what the design stands on: who owns
partition 3 of `posts` also owns partition 3 of `kol-thresholds` and of the changelog.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import sleep
from typing import TYPE_CHECKING

from stream_app.engine.admin import Admin, FoundTopic, TopicOrder
from stream_app.errors import BrokerError, TopicsError

if TYPE_CHECKING:
    from stream_app.settings import Settings

DEFAULT_TIMEOUT_S = 10.0
MAX_MESSAGE_BYTES = 1_048_588  # Kafka's own default, written down since the next line builds on it
# A dead letter is the original record and headers that say why: it must fit where that one did.
DEAD_LETTER_ROOM_BYTES = 64 * 1024

_POLL_S = 0.05
# What workers write themselves has the broker's time: it refuses records of a worker whose clock is
# more than an hour ahead.
_OWN = {"message.timestamp.type": "LogAppendTime"}
# The newest segment of a compacted topic is never compacted: with Kafka's default of 1 GiB a new
# leader would read that much to find a few snapshots, and a new owner to find its rows.
_INTERNAL = {
    **_OWN,
    "segment.bytes": str(16 * 1024 * 1024),
    "segment.ms": str(10 * 60 * 1000),
    "min.cleanable.dirty.ratio": "0.1",
}
# What the owner of a partition wrote is not to be compacted away by void records of a worker that
# was frozen, before the owner has noticed them and written anew.
_CHANGELOG = {
    **_OWN,
    "segment.bytes": str(50 * 1024 * 1024),
    "min.compaction.lag.ms": str(10 * 60 * 1000),
}


@dataclass(frozen=True, kw_only=True)
class TopicNames:
    """Full names, prefix included."""

    posts: str
    interactions: str
    events: str
    dead_letters: str
    snapshots: str
    thresholds: str
    rankings: str
    changelog: str


@dataclass(frozen=True, kw_only=True)
class TopicSpec:
    """A topic as it must be: exactly `partitions` of them, or any number where that is None."""

    name: str
    partitions: int | None
    cleanup: str
    config: Mapping[str, str] = field(default_factory=dict)


def topic_names(settings: Settings) -> TopicNames:
    """The names under these settings; everything that reads or writes a topic asks here."""
    return TopicNames(
        posts=settings.topic("posts"),
        interactions=settings.topic("interactions"),
        events=settings.topic("kol-events"),
        dead_letters=settings.topic("posts-dlq"),
        snapshots=settings.topic("kol-snapshots"),
        thresholds=settings.topic("kol-thresholds"),
        rankings=settings.topic("kol-rankings"),
        changelog=settings.topic(f"{settings.app_id}-users-changelog"),
    )


def topic_table(settings: Settings) -> tuple[TopicSpec, ...]:
    """Every topic that a worker needs, the sources first."""
    names, p = topic_names(settings), settings.partitions
    source = {"max.message.bytes": str(MAX_MESSAGE_BYTES)}
    dead = {**_OWN, "max.message.bytes": str(MAX_MESSAGE_BYTES + DEAD_LETTER_ROOM_BYTES)}
    return (
        TopicSpec(name=names.posts, partitions=p, cleanup="delete", config=source),
        TopicSpec(name=names.interactions, partitions=p, cleanup="delete", config=source),
        TopicSpec(name=names.events, partitions=p, cleanup="delete", config=_OWN),
        TopicSpec(name=names.dead_letters, partitions=None, cleanup="delete", config=dead),
        TopicSpec(name=names.snapshots, partitions=1, cleanup="compact", config=_INTERNAL),
        TopicSpec(name=names.thresholds, partitions=p, cleanup="compact", config=_INTERNAL),
        TopicSpec(name=names.rankings, partitions=1, cleanup="compact", config=_INTERNAL),
        TopicSpec(name=names.changelog, partitions=p, cleanup="compact", config=_CHANGELOG),
    )


async def create_topics(
    settings: Settings, *, changelog: bool = True, timeout_s: float = DEFAULT_TIMEOUT_S
) -> list[str]:
    """Every topic is there and fits; returns the names of those made now, in the table's order.

    Without `changelog` that one is left out, for an app that must not start yet.

    Nothing is made while an existing topic does not fit. Replication is 3, or as many as there are
    brokers; with 3, a write needs 2 of them.

    Raises:
        TopicsError: topics that do not fit, or that the broker refuses to make.
        BrokerError: no answer within `timeout_s`.
    """
    table = topic_table(settings)
    if not changelog:
        table = tuple(spec for spec in table if spec.name != topic_names(settings).changelog)
    return await asyncio.to_thread(_create, settings, Admin(settings, timeout_s), table)


async def check_topics(settings: Settings, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
    """Returns when every topic is there and fits.

    A broker that does not tell its topics' settings (the embedded one, or one that forbids it) is
    believed as to cleanup policy and record sizes.

    Raises:
        TopicsError: one line that names every misfit and how to mend it.
        BrokerError: no answer within `timeout_s`.
    """
    admin = Admin(settings, timeout_s)
    await asyncio.to_thread(_check, settings, admin, topic_table(settings))


async def topic_ids(
    settings: Settings, names: Sequence[str], *, timeout_s: float = DEFAULT_TIMEOUT_S
) -> dict[str, str]:
    """The id that the broker gave each topic; empty where it gives none.

    A topic deleted and made again has another id, by which it is told from one that goes on.

    Raises:
        TopicsError: a topic is missing.
        BrokerError: no answer within `timeout_s`.
    """
    found = await asyncio.to_thread(Admin(settings, timeout_s).describe, names)
    missing = [name for name in names if name not in found]
    if missing:
        raise TopicsError(_missing(missing))
    return {name: found[name].id for name in names}


def misfits(settings: Settings, found: Mapping[str, FoundTopic]) -> list[str]:
    """What is wrong with the topics that are there, each phrase with the way to mend it."""
    present = [spec for spec in topic_table(settings) if spec.name in found]
    names = topic_names(settings)
    return [
        *_wrong_partitions(names, present, found),
        *_wrong_cleanup(present, found),
        *_small_dead_letters(names, found),
    ]


def _create(settings: Settings, admin: Admin, table: Sequence[TopicSpec]) -> list[str]:
    found = admin.describe([spec.name for spec in table])
    _refuse(misfits(settings, found))
    missing = [spec for spec in table if spec.name not in found]
    if missing:
        admin.create([_order(spec, settings, found) for spec in missing])
        _wait_for(admin, [spec.name for spec in missing])
    # Another process may have made some of them meanwhile, under other settings.
    _check(settings, admin, table)
    return [spec.name for spec in missing]


def _order(spec: TopicSpec, settings: Settings, found: Mapping[str, FoundTopic]) -> TopicOrder:
    config = {**spec.config, "cleanup.policy": spec.cleanup}
    names = topic_names(settings)
    if spec.name == names.dead_letters:
        least = int(config["max.message.bytes"])
        config["max.message.bytes"] = str(max(least, _dead_letter_bytes(names, found)))
    return TopicOrder(name=spec.name, partitions=spec.partitions or 1, config=config)


def _wait_for(admin: Admin, names: Sequence[str]) -> None:
    # Brokers learn of new topics one after the other; whoever starts next may ask any of them.
    while len(admin.describe(names)) < len(names):
        if admin.is_late:
            raise BrokerError("the broker made the topics but does not show them; try again")
        sleep(_POLL_S)


def _check(settings: Settings, admin: Admin, table: Sequence[TopicSpec]) -> None:
    names = [spec.name for spec in table]
    found = admin.describe(names)
    missing = [name for name in names if name not in found]
    _refuse(misfits(settings, found) + ([_missing(missing)] if missing else []))


def _refuse(wrong: Sequence[str]) -> None:
    if wrong:
        raise TopicsError("topics do not fit: " + "; ".join(wrong))


def _missing(names: Sequence[str]) -> str:
    return f"{', '.join(names)} missing: run `kol topics create`"


def _wrong_partitions(
    names: TopicNames, present: Sequence[TopicSpec], found: Mapping[str, FoundTopic]
) -> Iterable[str]:
    have = {spec.name: found[spec.name].partitions for spec in present}
    wrong = [s for s in present if s.partitions is not None and have[s.name] != s.partitions]
    if not wrong:
        return
    counts = ", ".join(
        f"{spec.name} has {have[spec.name]} instead of {spec.partitions} partitions"
        for spec in wrong
    )
    due = max(spec.partitions or 0 for spec in present)
    yield f"{counts}: {partitions_advice(names, have, due)}"


def partitions_advice(names: TopicNames, have: Mapping[str, int], due: int) -> str:
    """How to mend topics with another number of partitions than `due`; `have`: all that is known.

    One number for all P topics is only a wrong setting. A source that has got more goes on with
    as many in the others, but not with the rows: users belong to other partitions then.
    """
    single = {names.snapshots, names.rankings}
    shared = {n for name, n in have.items() if name not in single | {names.dead_letters}}
    if all(have.get(name, 1) == 1 for name in single):
        if len(shared) == 1:
            return f"set KOL_PARTITIONS={shared.pop()}"
        most = max(shared)
        if most > due and max(have.get(names.posts, 0), have.get(names.interactions, 0)) == most:
            others = (names.posts, names.interactions, names.events, names.thresholds)
            return (
                "Kafka cannot take partitions away again, so give "
                f"{', '.join(name for name in others if have.get(name) != most)} {most} too "
                f"(`kafka-topics --alter --partitions {most}`), set KOL_PARTITIONS={most}, and "
                "start anew with `kol rebuild`"
            )
    return "delete them, or set another KOL_PREFIX, and run `kol topics create`"


def _wrong_cleanup(present: Sequence[TopicSpec], found: Mapping[str, FoundTopic]) -> Iterable[str]:
    for spec in present:
        cleanup = found[spec.name].config.get("cleanup.policy", spec.cleanup)
        if cleanup != spec.cleanup:
            mend = _alter(spec.name, f"cleanup.policy={spec.cleanup}")
            yield f"{spec.name} has cleanup.policy={cleanup} instead of {spec.cleanup}: {mend}"


def _small_dead_letters(names: TopicNames, found: Mapping[str, FoundTopic]) -> Iterable[str]:
    have, need = _record_bytes(names.dead_letters, found), _dead_letter_bytes(names, found)
    if have and have < need:
        mend = _alter(names.dead_letters, f"max.message.bytes={need}")
        yield f"{names.dead_letters} takes records of {have} instead of {need} bytes: {mend}"


def _dead_letter_bytes(names: TopicNames, found: Mapping[str, FoundTopic]) -> int:
    """What the dead-letter topic must take, as far as the sources' own limits are known."""
    largest = max(_record_bytes(name, found) for name in (names.posts, names.interactions))
    return largest and largest + DEAD_LETTER_ROOM_BYTES


def _record_bytes(name: str, found: Mapping[str, FoundTopic]) -> int:
    """The largest record that the topic takes; 0 where that is not known."""
    return int(found[name].config.get("max.message.bytes", 0)) if name in found else 0


def _alter(topic: str, config: str) -> str:
    return f"run `kafka-configs --alter --topic {topic} --add-config {config}`"
