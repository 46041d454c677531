"""Fuzzed records through Kafka and a worker, and the reckoning of what became of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any

from confluent_kafka import Producer

from stream_app.messages import parse_time
from tests.fuzzing.judge import ANY_FIELD
from tests.fuzzing.records import CODECS, Fuzzed
from tests.kafka.clients import StoredRecord, consume, wait_for
from tests.kafka.reckoning import tell
from tests.kafka.worker import Worker
from tests.kafka.workers import Workers
from tests.stream_of_events import Truth

#: Settings of the workers: nobody is inactive, whatever years the times are of.
ACTIVE_DAYS = 36_525
SETTINGS: Mapping[str, Any] = {"active_window": f"{ACTIVE_DAYS}d"}
PARTS = 3
HANDLED_TIMEOUT_S = 600.0
DELIVERY_TIMEOUT_S = 60.0
_OWN = tuple(f"dlq-{n}" for n in ("reason", "detail", "topic", "partition", "offset", "at"))

#: topic, partition, offset
Place = tuple[str, int, int]


class Sender:
    """Produces each record where it is meant to go, in batches of every compression."""

    def __init__(self, workers: Workers) -> None:
        self._names = {"posts": workers.names.posts, "interactions": workers.names.interactions}
        self._producers = {
            (codec, is_alone): _producer(workers.broker, codec, is_alone)
            for codec in CODECS
            for is_alone in (False, True)
        }
        self.places: dict[int, Place] = {}
        self._errors: list[str] = []

    def send(self, records: Iterable[Fuzzed]) -> None:
        """All are in Kafka after the call."""
        for one in records:
            # A batch of several must not be larger than its topic takes.
            is_alone = len(one.record.value or b"") > 200_000
            producer = self._producers[one.codec, is_alone]
            producer.produce(
                self._names[one.topic],
                value=one.record.value,
                key=one.record.key,
                headers=[*one.record.headers],
                partition=one.record.partition or 0,
                timestamp=one.record.timestamp_ms or 0,
                on_delivery=partial(self._delivered, one.number),
            )
            producer.poll(0)
        for producer in self._producers.values():
            assert producer.flush(DELIVERY_TIMEOUT_S) == 0, "Kafka does not take the records"
        assert not self._errors, self._errors[:3]

    def _delivered(self, number: int, error: Any, message: Any) -> None:
        if error is not None:
            self._errors.append(f"record {number}: {error}")
        else:
            self.places[number] = (message.topic(), message.partition(), message.offset())


def _producer(broker: str, codec: str, is_alone: bool) -> Producer:
    return Producer(
        {
            "bootstrap.servers": broker,
            "compression.type": codec,
            "message.max.bytes": 10_000_000,
            "batch.size": 500_000,
            "queue.buffering.max.messages": 200_000,
            "log_level": 0,
            "linger.ms": 20,
            **({"batch.num.messages": 1} if is_alone else {}),
        }
    )


def run_through(worker: Worker, sender: Sender, records: Sequence[Fuzzed]) -> list[float]:
    """A worker handles all of them; returns its memory (MB) before and after each part."""
    memory = [worker.memory()["rss"]]
    handled = 0
    for part in range(PARTS):
        some = records[part * len(records) // PARTS : (part + 1) * len(records) // PARTS]
        sender.send(some)
        handled += len(some) + sum(one.misplaced for one in some)  # forwarded ones come twice
        wait_for(
            partial(_has_handled, worker, handled),
            f"{handled} records to be handled",
            HANDLED_TIMEOUT_S,
        )
        memory.append(worker.memory()["rss"])
    return memory


def _has_handled(worker: Worker, records: int) -> bool:
    return worker.counter("kol_events_total") >= records


def truth_of(records: Iterable[Fuzzed], corrected: Iterable[Fuzzed] = ()) -> Truth:
    """What the good ones amount to, and the corrected ones as they were meant to be."""
    events = [(one.topic, one.content) for one in records if one.content is not None]
    events += [(one.topic, one.meant) for one in corrected]
    return Truth(events, active_window_ms=ACTIVE_DAYS * 86_400_000)


@dataclass
class LettersFound:
    """How the dead letters differ from what they must be."""

    reasons: Counter[str] = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)
    needless: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    wrong_reason: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)

    def complaints(self) -> dict[str, list[str]]:
        """Of each kind the first few; empty when all is as it must be."""
        kinds = ("missing", "needless", "twice", "wrong_reason", "changed")
        return {kind: found[:5] for kind in kinds if (found := getattr(self, kind))}

    def __str__(self) -> str:
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.reasons.most_common())
        return (
            f"dead letters: {reasons}; missing {len(self.missing)}, of good records "
            f"{len(self.needless)}, twice {len(self.twice)}, wrong reason "
            f"{len(self.wrong_reason)}, key, bytes or headers changed {len(self.changed)}"
        )


def check_letters(
    records: Iterable[Fuzzed], places: Mapping[int, Place], letters: Iterable[StoredRecord]
) -> LettersFound:
    """Each broken record has one letter, which is itself with a reason; no good one has any."""
    found = LettersFound()
    by_place: dict[Place, StoredRecord] = {}
    for letter in letters:
        place = place_of(letter)
        if place in by_place:
            found.twice.append(str(place))
        by_place[place] = letter
    for one in records:
        letter_of_it = by_place.pop(places[one.number], None)
        if letter_of_it is not None:
            _check_letter(found, one, letter_of_it)
        elif not one.is_good:
            found.missing.append(str(one)[:500])
    found.needless += [f"of no record: {place}" for place in by_place]
    return found


def _check_letter(found: LettersFound, one: Fuzzed, letter: StoredRecord) -> None:
    said = {name: (value or b"").decode() for name, value in letter.headers[-len(_OWN) :]}
    reason, field_name = said["dlq-reason"], said["dlq-detail"].partition(":")[0]
    found.reasons[reason] += 1
    parse_time(said["dlq-at"])
    if one.is_good:
        found.needless.append(f"{said}: {str(one)[:500]}")
    elif not one.faults & {(reason, field_name), (reason, ANY_FIELD)}:
        found.wrong_reason.append(f"{said}: {str(one)[:500]}")
    kept = [header for header in one.record.headers if not header[0].startswith("dlq-")]
    as_it_was = (one.record.key, one.record.value, [*kept])
    if (letter.key, letter.value, [*letter.headers[: -len(_OWN)]]) != as_it_was:
        found.changed.append(str(one)[:500])
    if tuple(said) != _OWN:
        found.changed.append(f"{[*said]} instead of {_OWN}")


def place_of(letter: StoredRecord) -> Place:
    said = dict(letter.headers[-len(_OWN) :])
    number = (int(said[name] or b"") for name in ("dlq-partition", "dlq-offset"))
    return ((said["dlq-topic"] or b"").decode(), *number)  # type: ignore[return-value]


def settle(
    workers: Workers, worker: Worker, sender: Sender, records: Sequence[Fuzzed]
) -> LettersFound:
    """The letters, once the worker has sent all; its counters say the same as they do."""
    found = check_letters(
        records, sender.places, consume(workers.broker, workers.names.dead_letters)
    )
    tell(str(found))
    counted = {
        reason: worker.counter("kol_dead_letters_total", reason=reason) for reason in found.reasons
    }
    assert found.complaints() == {}
    assert counted == dict(found.reasons)
    assert worker.counter("kol_forwarded_total") == sum(one.misplaced for one in records)
    return found


class Clock:
    """Seconds of each step, told as they end."""

    def __init__(self) -> None:
        self._since = monotonic()

    def tell(self, step: str) -> None:
        now = monotonic()
        tell(f"{step}: {now - self._since:.1f} s")
        self._since = now


def kinds(records: Iterable[Fuzzed]) -> Iterator[str]:
    """What was sent, in a line for each kind."""
    broken = Counter("broken" if not one.is_good else "good" for one in records)
    yield f"records: {broken.total()}, broken {broken['broken']}, good {broken['good']}"
