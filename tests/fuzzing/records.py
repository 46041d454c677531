"""Records good and bad in a mixture of one seed, each with what must become of it."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Literal

from stream_app.messages import partition_of, rfc3339
from stream_app.messages.examples import EXAMPLES
from stream_app.sample import sample_path
from tests.fuzzing.judge import MOST_BYTES, Fault, judge
from tests.fuzzing.mutations import Mutations, encoded
from tests.kafka.clients import Record
from tests.stream_of_events import START

Topic = Literal["posts", "interactions"]
Headers = tuple[tuple[str, bytes | None], ...]

#: Timestamp of every record, so that what counts as being in the future is known.
SENT_AT = START + 40 * 86_400_000
MAX_SKEW_MS = 5 * 60_000
STEP_MS = 1_000
#: Posts of a user, at most about; far fewer than are remembered.
_POSTS_EACH = 15
_MUTATED = 0.47  # of which some stay good: about a third of all are broken
#: What a topic takes uncompressed (`docs/messages.md`), less what Kafka adds to a value.
_LARGEST = 1_048_588 - 200
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")

_HEADERS: tuple[Headers, ...] = (
    (("trace", b"a"), ("trace", b"b")),
    (("none", None),),
    (("", b"no name"), ("名", b"\x00\xff")),
    (("kol-forwarded", b"1"),),
    (("kol-forwarded", b""), ("kol-origin", None)),
    (("kol-forwarded", None), ("kol-origin", b"posts/0/0")),
    (("kol-forwarded", b"1"), ("kol-origin", b"\xff\xfe")),
    (("kol-forwarded", b"1"), ("kol-origin", b"posts/0")),
    (("kol-origin", b"posts/-1/9"), ("kol-forwarded", b"no")),
    (("kol-forwarded", b"1"), ("kol-origin", b"posts/0/99999999999999999999")),
    (("kol-app", b"another"),),
    (("kol-app", b"\xff"), ("kol-origin", b"posts/0/0")),
    (("dlq-reason", b"forged"), ("dlq-offset", b"-1"), ("dlq-truncated", b"5")),
    (("dlq-resent-from", b"posts/0/0"), ("dlq-topic", None)),
    tuple((f"h{i}", b"x" * 100) for i in range(40)),
)


@dataclass(frozen=True, kw_only=True)
class Fuzzed:
    """A record, and what must become of it.

    Attributes:
        content: what counts of it; None for a broken one.
        faults: reasons, with the field each is about, that its dead letter may give.
        misplaced: it is forwarded.
        meant: what it was before it was spoilt.
    """

    number: int
    topic: Topic
    record: Record
    codec: str
    content: dict[str, Any] | None
    faults: frozenset[Fault]
    misplaced: bool
    meant: dict[str, Any] = field(repr=False)

    @property
    def is_good(self) -> bool:
        return self.content is not None


class Fuzzer:
    """Records of one seed for topics of so many partitions.

    Whoever's records are spoilt has no others, so the order in which records arrive says nothing.
    """

    def __init__(self, seed: int, records: int, partitions: int) -> None:
        self._chance = random.Random(seed)
        self._mutations = Mutations(self._chance)
        self._partitions = partitions
        self._records = records
        self._users = max(150, records // _POSTS_EACH)
        with gzip.open(sample_path(), "rt", encoding="utf-8") as sample:
            self._posts = [*map(json.loads, sample), *EXAMPLES["post"]]
        #: what an interaction with a post of before says of it
        self._known: list[dict[str, str]] = []

    def records(self) -> Iterator[Fuzzed]:
        large = max(6, min(self._records // 1_000, 40))
        for number in range(self._records - 1):
            is_large = number % max(1, self._records // large) == 5
            yield self._large(number) if is_large else self._next(number)
        # The newest event is an ordinary one, so that the high mark is known.
        at = SENT_AT + MAX_SKEW_MS - 1_000
        last = self._post(self._records - 1, f"u{0:05}") | {"created_at": rfc3339(at)}
        last.pop("observed_at")
        yield self._fuzzed(self._records - 1, "posts", last, encoded(last), plain=True)

    def _next(self, number: int) -> Fuzzed:
        is_mutated = self._chance.random() < _MUTATED
        user = (
            name_of("lone", number) if is_mutated else f"u{self._chance.randrange(self._users):05}"
        )
        topic: Topic = "posts" if self._chance.random() < 0.7 else "interactions"
        if topic == "posts":
            meant = self._post(number, user)
        else:
            meant = self._interaction(number, user, is_mutated)
        if not is_mutated:
            if topic == "posts":
                self._known.append(
                    {
                        "platform": meant["platform"],
                        "target_user_id": user,
                        "target_post_id": meant["id"],
                    }
                )
            return self._fuzzed(number, topic, meant, encoded(meant))
        return self._fuzzed(number, topic, meant, self._mutations.apply(topic, meant, number))

    def _post(self, number: int, user: str) -> dict[str, Any]:
        at = START + number * STEP_MS
        own = {"id": name_of("p", number), "user_id": user, "created_at": rfc3339(at)}
        return {
            **self._chance.choice(self._posts),
            **own,
            "observed_at": rfc3339(at + self._chance.randrange(STEP_MS)),
        }

    def _interaction(self, number: int, user: str, is_mutated: bool) -> dict[str, Any]:
        interaction = {
            **self._chance.choice(EXAMPLES["interaction"]),
            "id": name_of("i", number),
            "target_user_id": user,
            "actor_id": f"a{self._chance.randrange(1_000)}",
            "created_at": rfc3339(START + number * STEP_MS),
        }
        interaction.pop("target_post_id", None)
        if is_mutated:
            interaction["target_post_id"] = name_of("none", number)
        elif self._known and self._chance.random() < 0.7:
            interaction |= self._chance.choice(self._known)
        return interaction

    def _large(self, number: int) -> Fuzzed:
        """As large as its topic takes it, as it is or compressed, and good or not."""
        meant = self._post(number, name_of("lone", number))
        kind = self._chance.randrange(4)
        size = _LARGEST if kind < 2 else MOST_BYTES + self._chance.choice((-1, 0, 1))
        if kind % 2:
            meant |= {"text": "好" * 100_000}
        spoilt = meant | ({"like_count": -1} if self._chance.random() < 0.3 else {})
        bare = encoded(spoilt | {"unknown": ""})
        value = encoded(spoilt | {"unknown": "x" * (size - len(bare))})
        return self._fuzzed(
            number, "posts", meant, value, codec="none" if kind < 2 else "gzip", plain=True
        )

    def _fuzzed(
        self,
        number: int,
        topic: Topic,
        meant: dict[str, Any],
        value: bytes | None,
        *,
        codec: str | None = None,
        plain: bool = False,
    ) -> Fuzzed:
        """The record with a key, a place and headers, right or wrong; right ones with `plain`."""
        judged = judge(topic, value)
        key = key_of(topic, judged.content or meant)
        home = partition_of(key, self._partitions)
        draw = 0.0 if plain else self._chance.random()
        partition = home if draw < 0.9 else self._chance.randrange(self._partitions)
        headers: Headers = ()
        if not plain and self._chance.random() < 0.4:
            headers = self._chance.choice(_HEADERS)
        content, faults = judged.content, judged.faults
        if content is not None and partition != home and _is_marked(headers):
            user = "user_id" if topic == "posts" else "target_user_id"
            content, faults = None, frozenset({("wrong-partition", user)})
        return Fuzzed(
            number=number,
            topic=topic,
            record=Record(
                value=value,
                key=key if plain else self._key(key),
                headers=headers,
                timestamp_ms=SENT_AT,
                partition=partition,
            ),
            codec=codec or CODECS[number // 50 % len(CODECS)],
            content=None if content is None else clamped(content),
            faults=faults,
            misplaced=content is not None and partition != home,
            meant=meant,
        )

    def _key(self, key: bytes) -> bytes | None:
        draw = self._chance.random()
        if draw < 0.7:
            return key
        return self._chance.choice((None, b"", b"another", b"\x00\xff\xfe", b"k" * 3_000))


def _is_marked(headers: Headers) -> bool:
    """Whether it looks forwarded: a null says nothing, and of a name's values the first counts."""
    marks = [value for name, value in headers if name == "kol-forwarded"]
    return bool(marks) and marks[0] is not None


def clamped(content: Mapping[str, Any]) -> dict[str, Any]:
    """A time later than the record by more than five minutes is that of the record."""
    late = {
        name: SENT_AT
        for name in ("created_at", "observed_at")
        if content.get(name, 0) > SENT_AT + MAX_SKEW_MS
    }
    return {**content, **late}


def key_of(topic: Topic, content: Mapping[str, Any]) -> bytes:
    user = content["user_id" if topic == "posts" else "target_user_id"]
    return f"{content['platform']}:{user}".encode()


def name_of(kind: str, number: int) -> str:
    """Unlike any other in many places: a spoilt one is not by chance another's."""
    return f"{kind}-{blake2b(b'%d' % number, digest_size=8).hexdigest()}"
