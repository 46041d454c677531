"""One Apache Kafka for the whole session; tests keep apart by the prefix of their topics."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.kafka.absence import skip
from tests.kafka.broker import KafkaBroker, KafkaUnavailable, jars
from tests.kafka.workers import Workers, running
from tests.stream_of_events import Generator

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.kafka)


@pytest.fixture(scope="session")
def kafka(kafka_jars: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """A broker that runs; a test that stops or pauses one must start its own instead."""
    with KafkaBroker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture(scope="session")
def kafka_jars() -> Path:
    """Where Kafka's jars are; skips without Java, Maven or a network, but fails in CI."""
    try:
        found = jars()
    except KafkaUnavailable as error:
        skip(str(error))
    return found


@pytest.fixture
def prefix() -> str:
    """For KOL_PREFIX or names of topics and groups: no other test has the same."""
    return f"t{secrets.token_hex(4)}-"


@pytest.fixture
def workers(kafka: KafkaBroker, prefix: str, tmp_path: Path) -> Iterator[Callable[..., Workers]]:
    """Makes the workers of a test, with settings by name; none of them outlives it."""
    with ExitStack() as open_ones:
        yield lambda **settings: open_ones.enter_context(
            running(kafka.bootstrap, prefix, tmp_path, **settings)
        )


@pytest.fixture
def streams(
    request: pytest.FixtureRequest, seeded: Callable[[int], int]
) -> Callable[..., Generator]:
    """Makes the stream of a test by its seed, events and users, or as many more as `--events`."""

    def make(seed: int, *, events: int, users: int = 1000) -> Generator:
        times = max(1.0, (request.config.getoption("--events") or 0) / events)
        return Generator(seeded(seed), events=round(times * events), users=round(times * users))

    return make
