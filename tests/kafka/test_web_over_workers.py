"""Three workers behind one API: whoever is asked, and whoever restarts, nothing is missing."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection
from time import monotonic
from typing import Any

import jsonschema
import pytest

from stream_app.messages import partition_of
from tests.kafka.broker import KafkaBroker, free_port
from tests.kafka.clients import consume, wait_for
from tests.kafka.event_stream import Road, listening
from tests.kafka.feeding import flowing, send
from tests.kafka.reckoning import tell
from tests.kafka.worker import Worker
from tests.kafka.workers import Workers, running
from tests.outcome import chains
from tests.stream_of_events import INTERACTION_MEMORY, POST_MEMORY, Generator

SEED = 8
PARTITIONS = 6
MEMORIES = {"post_memory": POST_MEMORY, "interaction_memory": INTERACTION_MEMORY}
SESAME = "between-workers"
#: Far more than the two seconds it should take, for machines that do much else.
VISIBLE_S = 60.0
INTERNAL = "GET /internal/v1/"


@dataclass
class Scene:
    """Workers that have scored a stream, each reached by the others over a road of its own."""

    workers: Workers
    members: list[Worker]
    roads: list[Road]
    generator: Generator


@pytest.fixture(scope="module")
def scene(kafka: KafkaBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    generator = Generator(SEED, events=2_000, users=240, partitions=PARTITIONS)
    home = tmp_path_factory.mktemp("web")
    # A group of its own: the workers of the last test run beside these on the same broker.
    settings = MEMORIES | {"partitions": PARTITIONS, "web_token": SESAME, "app_id": "web"}
    with (
        ExitStack() as open_ones,
        running(kafka.bootstrap, f"t{secrets.token_hex(4)}-", home, **settings) as system,
    ):
        members, roads = [], []
        for name in ("first", "second", "third"):
            port = free_port()
            road = Road(port)
            open_ones.callback(road.close)
            roads.append(road)
            members.append(
                system.make(name, web_port=port, web_advertise=f"localhost:{road.port}").launch()
            )
        for worker in members:
            worker.wait_ready()
        wait_for(lambda: shared(members, PARTITIONS), "the partitions to be shared", VISIBLE_S)
        send(system, generator.events[:-1])
        for worker in members:
            system.wait_until_scored(worker)
        yield Scene(system, members, roads, generator)


def shared(members: list[Worker], partitions: int) -> bool:
    """Whether each is ready and owns part of the partitions, all of them together."""
    if not all(worker.is_ready() for worker in members):
        return False
    owned = [worker.owned() for worker in members]
    return all(owned) and sum(map(len, owned)) == partitions


def test_every_address_answers_alike_on_every_worker_as_described(scene: Scene) -> None:
    key = next(iter(scene.generator.truth().users))
    document = scene.members[0].json("/api/v1/openapi.json")
    for path, methods in document["paths"].items():
        content = methods["get"]["responses"]["200"]["content"]
        if path == "/api/v1/events":
            continue  # endless; read below
        asked = path.replace("{key}", key)
        answers = [worker.get(asked) for worker in scene.members]
        assert [status for status, _ in answers] == [200] * 3, path
        if path == "/metrics":
            continue  # of each worker's own
        assert answers[0] == answers[1] == answers[2], path
        schema = content.get("application/json", {}).get("schema", {})
        if "$ref" in schema:
            whole = {**schema, "components": document["components"]}
            jsonschema.Draft202012Validator(whole).validate(json.loads(answers[0][1]))


def test_users_are_told_by_workers_that_do_not_own_them_over_the_advertised_address(
    scene: Scene,
) -> None:
    keys = list(scene.generator.truth().users)[:60]
    for road in scene.roads:
        road.carried.clear()
    told = [worker.users(keys) for worker in scene.members]
    assert told[0] == told[1] == told[2]
    assert None not in told[0].values()
    numbers = {str(partition_of(key.encode(), PARTITIONS)) for key in keys}
    for worker, road in zip(scene.members, scene.roads, strict=True):
        asked = [line for line in road.carried if line.startswith(f"{INTERNAL}users/")]
        assert bool(asked) == bool(worker.owned() & numbers)
    nobody = [worker.users(["x:nobody"]) for worker in scene.members]
    assert nobody == [{"x:nobody": None}] * 3


def test_members_are_gathered_page_by_page_from_all(scene: Scene) -> None:
    expected = scene.members[0].kols()
    rankings = scene.members[0].json("/api/v1/rankings?limit=500")
    assert len(expected) == rankings["tiers"][0]["members"] > 5
    for worker in scene.members:
        keys = []
        cursor = ""
        while True:
            page = worker.json(f"/api/v1/kols?limit=3{cursor}")
            keys += [item["user"]["key"] for item in page["items"]]
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
        assert keys == [item["user"]["key"] for item in expected]
    assert all(
        any(line.startswith(f"{INTERNAL}members") for line in road.carried) for road in scene.roads
    )


def test_without_the_token_only_health_and_the_bare_page_answer(scene: Scene) -> None:
    for worker in scene.members:
        for path, status in (
            ("/healthz", 200), ("/readyz", 200), ("/", 200), ("/metrics", 401),
            ("/api/v1/rankings", 401), ("/api/v1/events", 401), ("/internal/v1/members", 401),
        ):  # fmt: skip
            connection = HTTPConnection("127.0.0.1", worker.port, timeout=VISIBLE_S)
            connection.request("HEAD", path)
            assert connection.getresponse().status == status, path
            connection.close()


def test_what_was_scored_is_seen_on_every_worker(scene: Scene) -> None:
    before = scene.members[0].json("/api/v1/threshold")["version"]
    send(scene.workers, scene.generator.events[-1:])
    sent_at = monotonic()
    for worker in scene.members:
        wait_for(
            lambda seen_by=worker: scene.workers.cut_reached_the_end(seen_by),  # type: ignore[misc]
            "the last event to be seen",
            VISIBLE_S,
        )
    tell(f"seen on three workers {monotonic() - sent_at:.2f} s after it was sent")
    wait_for(lambda: alike(scene.members), "all to say the same", VISIBLE_S)
    assert scene.members[0].json("/api/v1/threshold")["version"] > before


def alike(members: list[Worker]) -> bool:
    answers: list[list[Any]] = [
        [worker.json(f"/api/v1/{path}") for path in ("rankings?limit=500", "threshold")]
        for worker in members
    ]
    return all(answer == answers[0] for answer in answers)


def test_a_reader_misses_no_event_while_workers_restart(
    workers: Callable[..., Workers],
) -> None:
    generator = Generator(SEED + 1, events=3_000, users=300, partitions=PARTITIONS)
    system = workers(partitions=PARTITIONS, **MEMORIES)
    first, second = system.make("first").launch(), system.make("second").launch()
    for worker in (first, second):
        worker.wait_ready()
    with listening() as reader:
        with flowing(system, generator.events) as flow:
            reader.come(first)
            flow.allow(0.5)
            wait_for(lambda: len(reader.events) >= 10, "the first events", VISIBLE_S)
            first.terminate()
            reader.wait_end()

            reader.come(second)  # another worker, in the middle of it
            met = len(reader.ids())
            flow.allow(0.8)
            wait_for(lambda: len(reader.ids()) >= met + 5, "events of the other", VISIBLE_S)
            first.start()
            reader.leave()
            reader.come(first)  # the same again, in another life
            flow.allow(0.95)
        system.wait_until_scored(first)
        sent, _ = chains(consume(system.broker, system.names.events))
        due = {event["event_id"] for chain in sent.values() for event in chain}
        wait_for(lambda: reader.ids() >= due, "every event to come", VISIBLE_S)
        assert reader.ids() == due
        tell(f"{len(due)} events, {len(reader.events) - len(due)} came again")
        seen: dict[str, list[str]] = {}
        for event in reader.events:
            chain = seen.setdefault(event["user"]["key"], [])
            if event["event_id"] not in chain:
                chain.append(event["event_id"])
        assert seen == {key: [e["event_id"] for e in chain] for key, chain in sent.items()}
