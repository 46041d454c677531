"""What goes wrong is one line on standard error that says what to do, from the real command."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from stream_app.embedded import EmbeddedBroker
from stream_app.engine.topics import topic_table
from stream_app.messages import encode_post
from stream_app.settings import load_settings
from tests.builders import make_post
from tests.kafka.broker import free_port
from tests.tiny_gpt2 import write_tiny_gpt2

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 120
# Root may write everywhere; without its capabilities it is a user like any other.
AS_ANYBODY = ("setpriv", "--bounding-set", "-all", "--") if os.geteuid() == 0 else ()


def complaint(
    folder: Path, *arguments: str, code: int = 2, by: Sequence[str] = (), **environment: Any
) -> str:
    """The one line that `kol` says on standard error, with this exit code."""
    around = {k: v for k, v in os.environ.items() if not k.upper().startswith("KOL_")}
    settings = {f"KOL_{name.upper()}": str(value) for name, value in environment.items()}
    done = subprocess.run(
        [*by, sys.executable, "-m", "stream_app", *arguments],
        env=around | {"PYTHONPATH": str(ROOT)} | settings,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == code, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("kol: ")
    return line


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[str]:
    """An embedded broker with all topics."""
    with EmbeddedBroker() as running:
        for spec in topic_table(load_settings(partitions=1)):
            running.create_topic(spec.name, spec.partitions or 1)
        yield running.bootstrap


@pytest.fixture
def worker(bootstrap: str) -> dict[str, Any]:
    """Settings under which a worker would start but for what the test adds."""
    port = str(free_port())
    return {
        "broker": bootstrap,
        "partitions": "1",
        "web_port": port,
        "encoder": "bundled",
        "log_level": "error",
    }


# -- files


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    path = tmp_path / "posts.jsonl"
    path.write_bytes(b"\n".join(encode_post(make_post(id=f"p{n}")) for n in range(2_000)))
    return path


@pytest.mark.parametrize("command", [("replay",), ("demo", "--once", "--posts")])
def test_a_file_that_is_not_there_or_is_a_folder_is_named(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    assert "absent.jsonl" in complaint(tmp_path, *command, "absent.jsonl")
    assert str(tmp_path) in complaint(tmp_path, *command, str(tmp_path))


@pytest.mark.skipif(sys.platform != "linux", reason="takes the rights away with setpriv")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, posts: Path) -> None:
    posts.chmod(0)
    line = complaint(tmp_path, "replay", str(posts), by=AS_ANYBODY)
    assert str(posts) in line


def test_a_gzip_file_that_is_cut_short_is_named(
    tmp_path: Path, posts: Path, worker: dict[str, Any]
) -> None:
    cut = tmp_path / "cut.jsonl.gz"
    whole = gzip.compress(posts.read_bytes())
    cut.write_bytes(whole[: len(whole) // 2])
    assert "cut.jsonl.gz: broken gzip file" in complaint(tmp_path, "replay", str(cut), **worker)


def test_a_gzip_file_that_is_damaged_is_named(
    tmp_path: Path, posts: Path, worker: dict[str, Any]
) -> None:
    damaged = tmp_path / "damaged.jsonl.gz"
    whole = bytearray(gzip.compress(posts.read_bytes()))
    whole[-6] ^= 0xFF  # of the checksum: what is in the middle would show as bad lines first
    damaged.write_bytes(whole)
    assert "damaged.jsonl.gz" in complaint(tmp_path, "replay", str(damaged), **worker)


# -- settings and broker


def test_a_wrong_setting_is_named_and_a_secret_is_not_shown(tmp_path: Path) -> None:
    line = complaint(tmp_path, "worker", partitions="many", web_token="hush hush")  # noqa: S106 - refused
    assert "KOL_PARTITIONS" in line
    assert "KOL_WEB_TOKEN" in line
    assert "hush" not in line


def test_an_unknown_setting_is_named_with_the_nearest(tmp_path: Path) -> None:
    assert "did you mean KOL_BROKER?" in complaint(tmp_path, "settings", brokers="a:1")


@pytest.mark.parametrize("command", [("topics", "check"), ("topics", "create"), ("rebuild",)])
def test_a_broker_that_does_not_answer_is_named(tmp_path: Path, command: tuple[str, ...]) -> None:
    address = f"127.0.0.1:{free_port()}"
    assert address in complaint(tmp_path, *command, code=1, broker=address)


def test_an_address_that_is_not_this_machines_is_named(
    tmp_path: Path, worker: dict[str, Any]
) -> None:
    given = worker | {"web_bind": "192.0.2.1", "web_token": "t"}
    line = complaint(tmp_path, "worker", **given)
    assert "192.0.2.1" in line
    assert "KOL_WEB_BIND" in line


# -- state


def test_a_data_directory_that_is_a_file_is_named(tmp_path: Path, worker: dict[str, Any]) -> None:
    (tmp_path / "state").write_text("")
    line = complaint(tmp_path, "worker", **worker, data_dir="state")
    assert "KOL_DATA_DIR: state is not a folder" in line


@pytest.mark.skipif(sys.platform != "linux", reason="takes the rights away with setpriv")
def test_a_data_directory_that_may_not_be_written_is_named(
    tmp_path: Path, worker: dict[str, Any]
) -> None:
    (tmp_path / "state").mkdir(mode=0o555)
    line = complaint(tmp_path, "worker", by=AS_ANYBODY, **worker, data_dir="state")
    assert "KOL_DATA_DIR: cannot write in state" in line


def test_a_data_directory_with_other_things_is_named(
    tmp_path: Path, worker: dict[str, Any]
) -> None:
    stranger = tmp_path / "state" / "app-kol" / "thesis.txt"
    stranger.parent.mkdir(parents=True)
    stranger.write_text("chapter one")
    line = complaint(tmp_path, "worker", **worker, data_dir="state")
    assert "thesis.txt" in line
    assert stranger.read_text() == "chapter one"


# -- model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_gpt2(tmp_path / "model")


@pytest.mark.parametrize("fault", ["no weights", "cut weights", "no config", "another kind"])
def test_a_model_that_is_missing_or_broken_is_named(
    tmp_path: Path, worker: dict[str, Any], model: Path, fault: str
) -> None:
    weights, config = model / "model.safetensors", model / "config.json"
    if fault == "no weights":
        weights.unlink()
    elif fault == "cut weights":
        weights.write_bytes(weights.read_bytes()[:1_000])
    elif fault == "no config":
        config.unlink()
    else:
        config.write_text('{"model_type": "bert"}')
    line = complaint(tmp_path, "worker", **worker | {"encoder": str(model)})
    assert f"encoder {model}: " in line
    assert "KOL_ENCODER=bundled" in line


def test_no_network_and_nothing_cached_names_both_ways_out(
    tmp_path: Path, worker: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    line = complaint(tmp_path, "worker", **worker | {"encoder": "openai-community/gpt2"})
    assert "the hub cannot be reached" in line
    assert "KOL_ENCODER=bundled" in line
    assert "directory" in line


# -- other commands


def test_a_broker_that_does_not_answer_ends_a_rebuild(tmp_path: Path) -> None:
    broker = f"127.0.0.1:{free_port()}"
    line = complaint(tmp_path, "rebuild", code=1, broker=broker, broker_timeout="1s")
    assert broker in line
    assert "is Kafka running there, is KOL_BROKER its address" in line


@pytest.mark.skipif(sys.platform != "linux", reason="takes the rights away with setpriv")
def test_schemas_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir(mode=0o555)
    line = complaint(tmp_path, "schemas", by=AS_ANYBODY)
    assert "cannot write schemas: " in line
