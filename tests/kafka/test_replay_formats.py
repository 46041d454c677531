"""`kol replay` with every public format on a real broker: what the topics hold afterwards."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from stream_app.messages import (
    decode_interaction,
    decode_post,
    encode_interaction,
    encode_post,
    partition_of,
)
from stream_app.parts import create_scheme
from stream_app.sources import BadLine, Event, in_event_time_order, read_events
from tests.builders import NOON, make_interaction, make_post
from tests.fakes import FakeEncoder
from tests.kafka.clients import StoredRecord, consume
from tests.kafka.test_stocknet import differences
from tests.kafka.workers import ROOT, Workers
from tests.oracle import Oracle
from tests.unit.sources import test_facebook_csv, test_weibo_ced, test_xhs
from tests.unit.sources.test_twitter_v1 import ORIGINAL, tweet
from tests.unit.sources.written import json_lines

PARTITIONS = 4
REPLAY_TIMEOUT_S = 60
#: Reposts of the long cascade: more than the default memory, less than the one set here.
CASCADE = 150
INTERACTION_MEMORY = 256
CLOCK_MS = 50  # between a clock that only grows and the one that stamps records


@pytest.fixture
def system(workers: Callable[..., Workers]) -> Workers:
    return workers(partitions=PARTITIONS, interaction_memory=INTERACTION_MEMORY)


def replay(system: Workers, *arguments: str, data: bytes = b"") -> tuple[dict[str, Any], list[str]]:
    """The real command: its summary, and what it said on standard error."""
    environment = {k: v for k, v in os.environ.items() if not k.upper().startswith("KOL_")}
    environment |= {
        "KOL_BROKER": system.broker,
        "KOL_APP_ID": system.settings.app_id,
        "KOL_PREFIX": system.settings.prefix,
        "KOL_PARTITIONS": str(PARTITIONS),
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-m", "stream_app", "replay", "--json", *arguments],
        env=environment,
        input=data,
        capture_output=True,
        timeout=REPLAY_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr.decode().splitlines()


def our_own(folder: Path) -> list[str]:
    posts = [make_post(id=f"p{n}", user_id=f"u{n % 5}", created_at=NOON + n) for n in range(40)]
    liked = [make_interaction(id=f"i{n}", created_at=NOON + 3 * n) for n in range(20)]
    first = folder / "posts.jsonl.gz"
    first.write_bytes(gzip.compress(b"".join(encode_post(post) + b"\n" for post in posts[::-1])))
    second = folder / "interactions.jsonl"
    second.write_bytes(b"".join(encode_interaction(i) + b"\n" for i in liked) + b"{}\n")
    return [str(first), str(second)]


def tweets(folder: Path) -> list[str]:
    rows = [
        tweet(id_str=str(n), created_at=f"Tue Jul 01 12:{n:02}:00 +0000 2014") for n in range(9, 59)
    ]
    retweet = tweet(
        id_str="99", created_at="Tue Jul 01 12:30:30 +0000 2014", retweeted_status=ORIGINAL
    )
    return [json_lines(folder / "1", *rows), json_lines(folder / "2", retweet, b"no tweet")]


def notes(folder: Path) -> list[str]:
    rows = [
        test_xhs.note(note_id=f"n{n}", user_id=f"u{n % 3}", time=test_xhs.WRITTEN + n)
        for n in range(30)
    ]
    creators = [test_xhs.creator(user_id=f"u{n}") for n in range(2)]
    bad = test_xhs.note(liked_count="?")
    return [json_lines(folder / "n", *rows[::-1], bad), json_lines(folder / "c", *creators)]


def cascades(folder: Path) -> list[str]:
    """A long cascade, in which the author reposts herself too, and a short one."""
    originals = [test_weibo_ced.original(), test_weibo_ced.original(mid="other", uid="42")]
    moments = [f"2010-12-02 {13 + n // 60}:{n % 60:02}:00" for n in range(CASCADE)]
    reposts = [
        test_weibo_ced.repost(mid=f"r{n}", uid=f"a{n}", date=moment)
        for n, moment in enumerate(moments)
    ]
    reposts[7]["uid"] = originals[0]["uid"]
    short = [test_weibo_ced.repost(root_mid="other", mid=f"s{n}", uid=f"b{n}") for n in range(3)]
    bad = test_weibo_ced.repost(date="01月01日 18:46")
    files = (
        json_lines(folder / "r", *reposts[::-1], *short, bad),
        json_lines(folder / "o", *originals),
    )
    return [*files]


def pages(folder: Path) -> list[str]:
    rows = [
        test_facebook_csv.record(
            post_id=f"{n % 4}_{n}", page_id=str(n % 4), created_time=f"2016-10-{n:02}T00:00:00+0000"
        )
        for n in range(30, 0, -1)
    ]
    return [test_facebook_csv.csv_file(folder, *rows, test_facebook_csv.record(shares="?"))]


FILES: dict[str, Callable[[Path], list[str]]] = {
    "jsonl": our_own,
    "twitter-v1": tweets,
    "xhs": notes,
    "weibo-ced": cascades,
    "facebook-csv": pages,
}


def expected(format_name: str, files: Sequence[str]) -> list[Event]:
    found = read_events(files, format_name)
    return in_event_time_order(item for item in found if not isinstance(item, BadLine))


def stored(system: Workers) -> list[tuple[StoredRecord, Event]]:
    """All that the two topics hold."""
    posts = [(r, decode_post(r.value)) for r in consume(system.broker, system.names.posts)]
    topic = system.names.interactions
    return [*posts, *((r, decode_interaction(r.value)) for r in consume(system.broker, topic))]


def places(found: Sequence[tuple[StoredRecord, Event]]) -> dict[tuple[str, int], list[Event]]:
    """The events of each partition in their order."""
    by_place: dict[tuple[str, int], list[Event]] = {}
    for record, event in found:
        by_place.setdefault((record.topic, record.partition), []).append(event)
    return by_place


@pytest.mark.parametrize("format_name", FILES)
def test_every_event_of_a_format_lies_once_in_its_users_partition_in_event_time_order(
    system: Workers, tmp_path: Path, format_name: str
) -> None:
    files = FILES[format_name](tmp_path)
    due = expected(format_name, files)
    summary, said = replay(system, "--format", format_name, *files)
    found = stored(system)
    assert summary["posts"] + summary["interactions"] == len(due) == len(found)
    assert summary["interactions"] == len(consume(system.broker, system.names.interactions))
    assert (summary["bad_lines"], summary["too_large"]) == (1, 0)
    assert sum(line.startswith(str(tmp_path)) for line in said) == 1
    for record, event in found:
        assert record.key == event.key.encode()
        assert record.partition == partition_of(event.key.encode(), PARTITIONS)
    for events in places(found).values():
        assert events == [event for event in due if event in events]
    # Over all partitions and both topics too, by the times at which the records were made.
    made = sorted((e.event_time, e.created_at, r.timestamp_ms) for r, e in found)
    times = [timestamp_ms for _, _, timestamp_ms in made]
    assert times == sorted(times)


@pytest.mark.parametrize("format_name", ["twitter-v1", "weibo-ced"])
def test_standard_input_gives_what_files_give(
    system: Workers, tmp_path: Path, format_name: str
) -> None:
    files = FILES[format_name](tmp_path)
    data = b"".join(Path(file).read_bytes() for file in files)
    summary, said = replay(system, "--format", format_name, "-", data=data)
    due = expected(format_name, files)
    assert summary["posts"] + summary["interactions"] == len(due)
    assert in_event_time_order(event for _, event in stored(system)) == due
    assert sum(line.startswith("-:") for line in said) == summary["bad_lines"] == 1


@pytest.mark.parametrize(("speed", "factor"), [("real", 1), ("60x", 60)])
def test_at_a_speed_posts_and_interactions_leave_as_far_apart_as_they_happened(
    system: Workers, tmp_path: Path, speed: str, factor: int
) -> None:
    step = 400 * factor
    post, last = make_post(), make_post(id="p2", created_at=NOON + 2 * step)
    liked = make_interaction(created_at=NOON + step)
    lines = [encode_post(last), encode_interaction(liked), encode_post(post)]
    replay(system, "--speed", speed, json_lines(tmp_path / "f", *lines))
    found = sorted(stored(system), key=lambda pair: pair[0].timestamp_ms)
    assert [event for _, event in found] == [post, liked, last]
    first, second, third = (record.timestamp_ms for record, _ in found)
    # Never earlier than due; how much later is the machine's business.
    assert second - first >= 400 - CLOCK_MS
    assert third - first >= 800 - CLOCK_MS


def test_a_cascade_shows_its_reposts_and_the_attention_of_an_offline_recomputation(
    system: Workers, tmp_path: Path
) -> None:
    worker = system.start("only")
    files = cascades(tmp_path)
    # Held back to the worker's pace: the lag counts both topics.
    summary, _ = replay(system, "--format", "weibo-ced", "--max-lag", "20", *files)
    assert (summary["posts"], summary["interactions"]) == (2, CASCADE + 3)
    system.wait_until_scored(worker)

    encoder = FakeEncoder()
    oracle = Oracle(create_scheme(system.settings), lambda text: encoder.encode([text])[0])
    oracle.take(expected("weibo-ced", files))
    assert oracle.high_mark is not None
    shown = worker.users(oracle.users)
    author, other = "weibo:1347851222", "weibo:42"
    assert shown.keys() == {author, other}
    assert shown[author]["raw"]["interactions"]["repost"] == CASCADE - 1, "not her own"
    assert shown[other]["raw"]["interactions"]["repost"] == 3
    assert shown[author]["raw"]["repost"] == shown[author]["raw"]["reply"] == 0
    wrong = [
        text
        for key, user in oracle.users.items()
        for text in differences(shown[key], user, oracle.high_mark)
    ]
    assert wrong == []
    assert worker.terminate() == 0
