"""The services of docker-compose.yml, run as they stand there, as processes instead of containers.

Only places differ: ports, folders, and 127.0.0.1 where a container goes by its name. Kafka gets its
settings the way its image gives them, by the image's own class.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stream_app.messages import partition_of
from tests.containers import (
    ROOT,
    TOKEN,
    image_environment,
    image_health_command,
    instruction,
    services,
)
from tests.kafka.broker import KafkaBroker, free_port, jars, java
from tests.kafka.clients import end_offsets, wait_for
from tests.kafka.worker import Worker
from tests.kafka.workers import Workers

PARTITIONS = 8
REPLICAS = 3
JOB_TIMEOUT_S = 120
IMAGE_SETUP = "kafka.docker.KafkaDockerWrapper"
CLASS_OF_SCRIPT = {"/opt/kafka/bin/kafka-topics.sh": "org.apache.kafka.tools.TopicCommand"}


@dataclass(frozen=True, kw_only=True)
class Stack:
    """The services, and the broker that runs with the settings of the service `kafka`."""

    services: Mapping[str, Any]
    broker: KafkaBroker
    inside: str  # where containers would find it
    home: Path

    def environment(self, name: str, **places: Any) -> dict[str, str]:
        """The container's, with the places of this machine."""
        given: dict[str, str] = image_environment() | self.services[name]["environment"]
        given |= {key: str(value) for key, value in places.items()}
        assert given["KOL_BROKER"] == "kafka:19092"
        given["KOL_BROKER"] = self.inside
        ours = {key: value for key, value in os.environ.items() if not key.startswith("KOL_")}
        return ours | given | {"PYTHONPATH": str(ROOT)}

    def run(self, name: str) -> subprocess.CompletedProcess[str]:
        """The job, to its end."""
        return subprocess.run(
            kol([self.local(word, name) for word in self.services[name]["command"]]),
            env=self.environment(name),
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=JOB_TIMEOUT_S,
            check=False,
        )

    def local(self, word: str, name: str) -> str:
        """A path in the container as that of the file mounted there, anything else as it is."""
        for mount in self.services[name].get("volumes", ()):
            if mount["type"] == "bind" and word.startswith(mount["target"]):
                source = Path(mount["source"]).relative_to(self.home)
                return str(ROOT / source) + word.removeprefix(mount["target"])
        return word

    def replica(self, number: int) -> Worker:
        """One more container of the service `worker`, not yet started."""
        home = self.home / f"worker-{number}"
        home.mkdir()
        environment = self.environment(
            "worker", KOL_DATA_DIR=home / "state", KOL_WEB_PORT=free_port()
        )
        return Worker(kol(self.services["worker"]["command"]), environment, home)


def kol(command: Sequence[str]) -> list[str]:
    """The image's entry point with that command."""
    assert instruction("ENTRYPOINT") == '["kol"]'
    return [sys.executable, "-m", "stream_app", *command]


@pytest.fixture(scope="module")
def stack(kafka_jars: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Kafka runs."""
    home = tmp_path_factory.mktemp("compose")
    # As the documentation advises where several workers share a machine.
    (home / ".env").write_text(f"KOL_WEB_TOKEN={TOKEN}\nKOL_TORCH_THREADS=1\n")
    found = services(home)
    inside, outside = free_port(), free_port()
    set_up_kafka(found["kafka"], home / "kafka", inside, outside)
    with KafkaBroker(home / "kafka", outside) as broker:
        yield Stack(services=found, broker=broker, inside=f"127.0.0.1:{inside}", home=home)


def set_up_kafka(service: Mapping[str, Any], home: Path, inside: int, outside: int) -> None:
    """server.properties is written and the storage formatted, as the image does when it starts."""
    places = {
        "INSIDE://:19092": f"INSIDE://127.0.0.1:{inside}",
        "INSIDE://kafka:19092": f"INSIDE://127.0.0.1:{inside}",
        "OUTSIDE://:9092": f"OUTSIDE://127.0.0.1:{outside}",
        "OUTSIDE://127.0.0.1:9092": f"OUTSIDE://127.0.0.1:{outside}",
        "127.0.0.1:9093": f"127.0.0.1:{free_port()}",
        "/var/lib/kafka/data": f"{home}/data",
    }
    settings = dict(service["environment"])
    for there, here in places.items():
        assert any(there in value for value in settings.values()), there
        settings = {name: value.replace(there, here) for name, value in settings.items()}
    home.mkdir()
    ours = {name: value for name, value in os.environ.items() if not name.startswith("KAFKA_")}
    folders = (f"--{kind}-configs-dir={home}" for kind in ("default", "mounted", "final"))
    done = subprocess.run(
        java("-cp", f"{jars()}/*", IMAGE_SETUP, "setup", *folders),
        env=ours | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def run_here(command: Sequence[str], worker: Worker) -> int:
    """The exit code of a container's health check, whose python is ours."""
    assert command[0] == "python"
    done = subprocess.run(
        [sys.executable, *command[1:]],
        env=worker.environment,
        capture_output=True,
        check=False,
    )
    return done.returncode


def passes(command: Sequence[str], worker: Worker) -> bool:
    """Whether the health check does; the worker must live."""
    assert not worker.has_ended, worker.log()
    return run_here(command, worker) == 0


def test_kafka_passes_its_health_check(stack: Stack) -> None:
    kind, script, *arguments = stack.services["kafka"]["healthcheck"]["test"]
    assert kind == "CMD"
    here = [stack.inside if word == "kafka:19092" else word for word in arguments]
    assert here != arguments
    command = java("-cp", f"{jars()}/*", CLASS_OF_SCRIPT[script], *here)
    assert subprocess.run(command, check=False).returncode == 0


def test_the_topics_are_made_and_a_second_run_finds_them(stack: Stack) -> None:
    first, second = stack.run("topics"), stack.run("topics")
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "created posts\n" in first.stdout
    assert "created" not in second.stdout
    assert sorted(end_offsets(stack.broker.bootstrap, "posts")) == list(range(PARTITIONS))


@pytest.mark.slow
def test_three_workers_score_the_sample_and_each_answers_for_all(stack: Stack) -> None:
    assert stack.run("topics").returncode == 0
    replicas = [stack.replica(number) for number in range(1, REPLICAS + 1)]
    ready = stack.services["worker"]["healthcheck"]["test"][1:]
    settings = {"partitions": PARTITIONS, "app_id": "kol"}
    with closing(Workers(stack.broker.bootstrap, "", stack.home, **settings)) as system:
        system.adopt(replicas)
        assert run_here(ready, replicas[0]) != 0, "nobody listens yet"
        for replica in replicas:
            replica.launch()
        for replica in replicas:
            wait_for(partial(passes, ready, replica), "the health check to pass", 120)
            assert run_here(image_health_command(), replica) == 0
        wait_for(lambda: shared(replicas), "the partitions to be shared", 60)

        sent = stack.run("sample")
        assert sent.returncode == 0, sent.stderr
        assert "no bad lines" in sent.stdout
        system.wait_until_scored(replicas[0])
        assert_same_answers(replicas)
        assert_token_is_needed(replicas[0])
        assert [replica.terminate() for replica in replicas] == [0, 0, 0]


def shared(replicas: Sequence[Worker]) -> bool:
    """Whether every partition is owned, each by one of them, and nobody is left without."""
    owned = [replica.owned() for replica in replicas]
    return all(owned) and sorted(p for each in owned for p in each) == [
        str(p) for p in range(PARTITIONS)
    ]


def assert_same_answers(replicas: Sequence[Worker]) -> None:
    paths = ("rankings?limit=500", "threshold", "kols?limit=500")
    wait_for(
        lambda: all(
            len({replica.get(f"/api/v1/{path}")[1] for replica in replicas}) == 1 for path in paths
        ),
        "all to say the same",
    )
    ranked = replicas[0].json("/api/v1/rankings?limit=60")["items"]
    keys = [item["user"]["key"] for item in ranked]
    owners = {
        index
        for index, replica in enumerate(replicas)
        for key in keys
        if str(partition_of(key.encode(), PARTITIONS)) in replica.owned()
    }
    assert owners == set(range(REPLICAS)), "users of every worker are asked for"
    answers = [replica.users(keys) for replica in replicas]
    assert None not in answers[0].values()
    assert answers[1:] == answers[:-1]


def assert_token_is_needed(replica: Worker) -> None:
    for token in (None, "another"):
        assert replica.get_with("/api/v1/rankings", token)[0] == 401
    assert replica.get_with("/healthz", None)[0] == 200
