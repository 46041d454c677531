"""Rules that Dockerfile and docker-compose.yml keep; tests/kafka/test_compose.py runs them."""

from __future__ import annotations

import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stream_app.settings import load_settings
from tests.containers import (
    COMPOSE_FILE,
    ROOT,
    TOKEN,
    compose,
    image_environment,
    instruction,
    instructions,
    services,
)

LASTING = ("kafka", "worker")
JOBS = ("topics", "sample")
OURS = ("topics", "worker", "sample")


@pytest.fixture
def found(tmp_path: Path) -> dict[str, Any]:
    return services(tmp_path, KOL_WEB_TOKEN=TOKEN)


def test_every_service_is_known_here(found: dict[str, Any]) -> None:
    assert sorted(found) == sorted({*LASTING, *JOBS, *OURS})


def test_kafka_is_of_the_version_that_the_tests_run(found: dict[str, Any]) -> None:
    pom = (ROOT / "tests" / "kafka" / "pom.xml").read_text(encoding="utf-8")
    version = re.search(r"<kafka.version>(.+)</kafka.version>", pom)
    assert version is not None
    assert found["kafka"]["image"] == f"apache/kafka:{version[1]}"


def test_without_a_token_nothing_starts_and_one_line_says_how_to_make_one(tmp_path: Path) -> None:
    refused = compose(tmp_path, "config")
    assert refused.returncode != 0
    assert "KOL_WEB_TOKEN is missing" in refused.stderr
    assert "make .env" in refused.stderr
    assert compose(tmp_path, "config", KOL_WEB_TOKEN="").returncode != 0, "an empty one is none"


def test_make_writes_a_token_that_only_its_owner_reads_and_leaves_one_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["make", "-s", "-f", str(ROOT / "Makefile"), ".env"]
    subprocess.run(command, cwd=tmp_path, check=True)
    written = (tmp_path / ".env").read_bytes()
    subprocess.run(command, cwd=tmp_path, check=True)

    assert (tmp_path / ".env").read_bytes() == written
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    token = services(tmp_path)["worker"]["environment"]["KOL_WEB_TOKEN"]
    assert re.fullmatch("[0-9a-f]{64}", token)
    monkeypatch.chdir(tmp_path)
    setting = load_settings(web_bind="0.0.0.0").web_token  # noqa: S104 - not bound
    assert setting is not None
    assert setting.get_secret_value() == token, "`kol` reads the same"


@pytest.mark.parametrize("name", LASTING)
def test_what_lasts_is_published_on_loopback_alone_and_watched_and_started_again(
    found: dict[str, Any], name: str
) -> None:
    service = found[name]
    assert [port["host_ip"] for port in service["ports"]] == ["127.0.0.1"]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", JOBS)
def test_a_job_runs_once_and_publishes_nothing(found: dict[str, Any], name: str) -> None:
    assert "ports" not in found[name]
    assert found[name]["restart"] == "no"
    assert found[name]["healthcheck"] == {"disable": True}


def test_workers_wait_for_the_topics_and_these_for_kafka(found: dict[str, Any]) -> None:
    conditions = {
        (name, other): needed["condition"]
        for name, service in found.items()
        for other, needed in service.get("depends_on", {}).items()
    }
    assert conditions == {
        ("topics", "kafka"): "service_healthy",
        ("worker", "kafka"): "service_healthy",
        ("worker", "topics"): "service_completed_successfully",
        ("sample", "topics"): "service_completed_successfully",
    }


def test_one_service_builds_the_image_that_the_others_use(found: dict[str, Any]) -> None:
    assert [name for name in found if "build" in found[name]] == ["topics"]
    assert {found[name]["image"] for name in OURS} == {"kol-stream:local"}
    assert {found[name]["pull_policy"] for name in OURS} == {"never"}


def test_every_worker_has_state_and_a_port_of_its_own(found: dict[str, Any]) -> None:
    worker = found["worker"]
    assert "container_name" not in worker
    assert "hostname" not in worker
    state = worker["environment"]["KOL_DATA_DIR"]
    unnamed = [mount["target"] for mount in worker["volumes"] if "source" not in mount]
    assert unnamed == [state] == [image_environment()["KOL_DATA_DIR"]]
    first, last = worker["ports"][0]["published"].split("-")
    assert int(last) - int(first) >= 2
    assert worker["environment"]["KOL_WEB_ADVERTISE"] == "", "its own host name"
    assert str(worker["ports"][0]["target"]) == worker["environment"]["KOL_WEB_PORT"]


def test_nothing_runs_as_root_or_may_become_it(found: dict[str, Any]) -> None:
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", instruction("USER"))
    for name in OURS:
        assert found[name]["cap_drop"] == ["ALL"]
        assert found[name]["security_opt"] == ["no-new-privileges:true"]


def test_images_from_elsewhere_are_named_with_their_version(found: dict[str, Any]) -> None:
    stages = set(re.findall(r"^FROM .* AS (\w+)$", (ROOT / "Dockerfile").read_text(), re.M))
    bases = {base.split()[0] for base in instructions("FROM")} - stages
    for image in (*bases, found["kafka"]["image"]):
        assert re.search(r":\d+\.\d+", image), image


def test_settings_in_dot_env_reach_every_container_and_its_addresses_stay(tmp_path: Path) -> None:
    given = f"KOL_WEB_TOKEN={TOKEN}\nKOL_PARTITIONS=16\nKOL_BROKER=other:1\nTORCH_INDEX=there\n"
    (tmp_path / ".env").write_text(given)
    found = services(tmp_path)
    for name in OURS:
        environment = found[name]["environment"]
        assert environment["KOL_PARTITIONS"] == "16"
        assert environment["KOL_BROKER"] == "kafka:19092"
    assert found["topics"]["build"]["args"] == {"TORCH_INDEX": "there"}


def test_the_variables_of_the_containers_are_settings(found: dict[str, Any]) -> None:
    for name in OURS:
        given = image_environment() | found[name]["environment"]
        load_settings(**{key.removeprefix("KOL_").lower(): v or None for key, v in given.items()})


def test_no_secret_and_no_state_gets_into_the_image() -> None:
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert kept[1] == "*", "all is left out but what is named"
    named = {line[1:] for line in kept if line.startswith("!")}
    copied = {p for line in instructions("COPY") for p in line.split()[:-1] if "=" not in p}
    assert named == copied - {"/opt/kol"}


def test_the_sample_is_where_the_compose_file_says() -> None:
    assert "- ./stream_app/sample:/sample:ro" in COMPOSE_FILE.read_text(encoding="utf-8")
    assert (ROOT / "stream_app" / "sample" / "posts.jsonl.gz").is_file()
