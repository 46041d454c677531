"""The producers of docs/formats.md, run as the page says: each post at home, as it was, once."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from stream_app.messages import KINDS
from tests.kafka.absence import need, skip
from tests.kafka.broker import CONNECT_POM, KafkaBroker, KafkaUnavailable, free_port, jars
from tests.kafka.clients import consume, make_topic, wait_for
from tests.kafka.producing import USERS, Sent, System, interaction, lines_of, send, user_key
from tests.kafka.reader import ROOT, TIMEOUT_S, Reader, commands
from tests.kafka.workers import running

CONNECT = "ConnectStandalone"
#: Part of a command of the page -> what must be installed for it.
KEYED = {
    "produce_aiokafka.py": (),
    "produce_confluent.py": (),
    "ProducePosts.java": (),
    "produce_kcat.sh posts": ("kcat", "jq"),
}
INTERACTIONS = "produce_kcat.sh interactions"


@pytest.fixture(scope="module")
def system(kafka: KafkaBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    home = tmp_path_factory.mktemp("producers")
    try:
        libraries = jars(CONNECT_POM)
    except KafkaUnavailable as error:
        skip(str(error))
    (home / "kafka").mkdir()
    (home / "kafka" / "libs").symlink_to(libraries)
    with running(kafka.bootstrap, f"t{secrets.token_hex(4)}-", home) as workers:
        yield System(kafka, workers, workers.start("only"), home / "kafka")


@pytest.fixture(scope="module", params=KEYED)
def sent(
    request: pytest.FixtureRequest, system: System, tmp_path_factory: pytest.TempPathFactory
) -> Sent:
    """By each producer that gives its records keys."""
    need(*KEYED[request.param])
    reader = system.reader(tmp_path_factory.mktemp("reader"))
    return send(system, reader, lambda _: reader.run(command(request.param)))


def test_each_post_arrives_as_it_was_written_and_in_its_users_order(sent: Sent) -> None:
    assert by_user(record.value or b"" for record in sent.records) == by_user(sent.lines)


def test_each_record_has_its_users_key_and_lies_in_that_keys_partition(
    system: System, sent: Sent
) -> None:
    keys = [user_key(record.value or b"") for record in sent.records]
    assert [record.key for record in sent.records] == keys
    assert [record.partition for record in sent.records] == [system.home_of(key) for key in keys]
    assert len({record.partition for record in sent.records}) > 1


def test_records_come_from_an_idempotent_producer(sent: Sent) -> None:
    assert min(sent.producers) >= 0


def test_a_worker_counts_each_post_once_and_sends_none_of_them_on(sent: Sent) -> None:
    assert_counted_once(sent)
    assert sent.forwarded == 0


def test_interactions_sent_with_kcat_reach_whom_they_are_aimed_at(
    system: System, tmp_path: Path
) -> None:
    need("kcat", "jq")
    reader = system.reader(tmp_path)
    platform = f"p{secrets.token_hex(4)}"
    lines = [interaction(platform, n, user) for n, user in enumerate(USERS)]
    reader.write("interactions.jsonl", lines)
    forwarded = system.worker.counter("kol_forwarded_total")
    reader.run(command(INTERACTIONS))
    system.workers.wait_until_scored(system.worker)

    records = system.stored(system.workers.names.interactions, platform)
    assert sorted(record.value or b"" for record in records) == sorted(lines)
    keys = [user_key(record.value or b"", "target_user_id") for record in records]
    assert [record.key for record in records] == keys
    assert [record.partition for record in records] == [system.home_of(key) for key in keys]
    assert system.worker.counter("kol_forwarded_total") == forwarded
    for n, user in enumerate(USERS):
        shown = system.worker.users([f"{platform}:{user}"])[f"{platform}:{user}"]
        assert shown["raw"]["interactions"] == dict.fromkeys(KINDS, 0) | {KINDS[n % len(KINDS)]: 1}


def test_connect_sends_lines_without_a_key_and_the_worker_brings_each_post_home_once(
    system: System, tmp_path: Path
) -> None:
    reader = system.reader(tmp_path)
    topic, broker = system.workers.names.posts, system.broker.bootstrap
    set_up_connect(reader, broker, topic)

    def run(platform: str) -> None:
        # Those that the worker sends on meanwhile are not Connect's.
        run_connect(reader, lambda: len(system.stored(topic, platform)), len(lines_of(platform)))

    sent = send(system, reader, run)
    assert [record.key for record in sent.records] == [None] * len(sent.lines)
    assert sorted(record.value or b"" for record in sent.records) == sorted(sent.lines)
    assert min(sent.producers) >= 0
    astray = [r for r in sent.records if system.home_of(user_key(r.value or b"")) != r.partition]
    assert sent.forwarded == len(astray) > 0
    assert_counted_once(sent)


def test_rows_with_a_user_key_become_plain_json_under_that_key(
    system: System, prefix: str, tmp_path: Path
) -> None:
    reader, broker = system.reader(tmp_path), system.broker.bootstrap
    make_topic(broker, f"{prefix}rows", 4)
    keys = [f"x:{user}".encode() for user in USERS]
    reader.write("posts.jsonl", keys)
    set_up_connect(reader, broker, f"{prefix}rows")
    # A table is not at hand: each line of the file becomes a row of one field.
    rows = (ROOT / "examples" / "connect" / "rows.properties").read_text(encoding="utf-8")
    reader.add(
        "examples/connect/posts-from-file.properties",
        rows.replace("transforms=", "transforms=row,"),
        "transforms.row.type=org.apache.kafka.connect.transforms.HoistField$Value",
        "transforms.row.field=user_key",
    )
    run_connect(reader, lambda: len(consume(broker, f"{prefix}rows")), len(keys))
    records = consume(broker, f"{prefix}rows")
    assert sorted(record.key or b"" for record in records) == sorted(keys)
    for record in records:
        assert record.key is not None
        assert json.loads(record.value or b"") == {"user_key": record.key.decode()}
        assert record.partition == system.home_of(record.key)


def test_every_command_of_the_page_is_run_here() -> None:
    parts = (*KEYED, INTERACTIONS, CONNECT)
    assert sorted(commands()) == sorted(command(part) for part in parts)


def test_connect_is_of_the_brokers_version() -> None:
    versions = {
        line.strip()
        for pom in (CONNECT_POM, CONNECT_POM.with_name("pom.xml"))
        for line in pom.read_text(encoding="utf-8").splitlines()
        if "<kafka.version>" in line
    }
    assert len(versions) == 1


def set_up_connect(reader: Reader, broker: str, topic: str) -> None:
    """Broker and topic are put into the files, as the page says, and a port that is free."""
    listeners = f"http://127.0.0.1:{free_port()}"
    reader.edit("examples/connect/worker.properties", bootstrap_servers=broker, listeners=listeners)
    reader.edit("examples/connect/posts-from-file.properties", topic=topic)


def run_connect(reader: Reader, arrived: Callable[[], int], due: int) -> None:
    """So many records have arrived; by itself it would go on and wait for more lines."""
    with reader.running(command(CONNECT)) as process:

        def is_done() -> bool:
            assert process.poll() is None, reader.said()
            return arrived() >= due

        wait_for(is_done, "Connect to send the file", TIMEOUT_S)


def command(part: str) -> str:
    """The one of the page's commands that contains `part`."""
    (found,) = (text for text in commands() if part in text)
    return found


def by_user(lines: Iterable[bytes]) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for line in lines:
        found.setdefault(user_key(line), []).append(line)
    return found


def assert_counted_once(sent: Sent) -> None:
    assert sent.dead == 0
    for n, shown in enumerate(sent.users.values()):
        assert (shown["raw"]["posts"], shown["raw"]["like"]) == (2, 12)
        assert shown["user"]["follower_count"] == 2**63 - 1 - n
        assert shown["score"] > 0
