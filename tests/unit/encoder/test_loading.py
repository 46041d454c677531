import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from stream_app.encoder import create_encoder, loading
from stream_app.encoder.loading import load_model, model_folder
from stream_app.errors import ModelError
from stream_app.settings import DEFAULT_ENCODER, DEFAULT_ENCODER_REVISION, load_settings
from tests.tiny_gpt2 import write_tiny_gpt2


def refused(name: str, because: str) -> None:
    """Loading `name` ends in one line that says why and names both ways out."""
    with pytest.raises(ModelError) as caught:
        create_encoder(load_settings(encoder=name))
    message = str(caught.value)
    assert because in message
    assert "KOL_ENCODER=bundled" in message
    assert "local directory" in message
    assert "\n" not in message
    assert caught.value.exit_code == 2


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    refused(str(tmp_path / "nothing"), "no such directory")


def test_a_directory_without_safetensors_is_refused_and_pickles_are_not_read(
    tmp_path: Path,
) -> None:
    write_tiny_gpt2(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    refused(str(tmp_path), "no safetensors")


def test_cut_weights_are_refused(tmp_path: Path) -> None:
    path = write_tiny_gpt2(tmp_path) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1_000])
    refused(str(tmp_path), "encoder")


def test_weights_of_fewer_layers_than_the_configuration_says_are_refused(tmp_path: Path) -> None:
    path = write_tiny_gpt2(tmp_path) / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"n_layer": 5}))
    refused(str(tmp_path), "weights lack")


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    path = write_tiny_gpt2(tmp_path) / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"model_type": "bert"}))
    refused(str(tmp_path), "not gpt2")


def test_a_broken_configuration_is_refused(tmp_path: Path) -> None:
    (write_tiny_gpt2(tmp_path) / "config.json").write_text("{")
    refused(str(tmp_path), "encoder")


def test_a_vocabulary_larger_than_the_embeddings_is_refused(tmp_path: Path) -> None:
    path = write_tiny_gpt2(tmp_path) / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["model"]["vocab"]["too many"] = 257
    path.write_text(json.dumps(tokenizer))
    refused(str(tmp_path), "embeddings")


def test_a_name_that_no_hub_could_have_is_refused() -> None:
    refused("no such name", "neither")


@pytest.mark.parametrize(
    "error", [LocalEntryNotFoundError("offline"), httpx.ConnectError("no route to host")]
)
def test_no_network_and_nothing_cached_is_one_clear_error(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*args: Any, local_files_only: bool, **options: Any) -> str:
        raise LocalEntryNotFoundError("not cached") if local_files_only else error

    monkeypatch.setattr(loading, "snapshot_download", unreachable)
    refused(DEFAULT_ENCODER, "cannot be reached")


def test_a_hub_model_is_asked_for_at_its_pinned_revision_without_pickles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def fetch(name: str, **options: Any) -> str:
        asked.update(options, name=name)
        return str(tmp_path)

    write_tiny_gpt2(tmp_path)
    monkeypatch.setattr(loading, "snapshot_download", fetch)
    settings = load_settings(encoder=DEFAULT_ENCODER)
    create_encoder(settings)
    assert asked["name"] == DEFAULT_ENCODER
    assert asked["revision"] == DEFAULT_ENCODER_REVISION
    assert not any("bin" in pattern or ".py" in pattern for pattern in asked["allow_patterns"])


def test_what_is_in_the_cache_is_used_without_asking_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(*args: Any, local_files_only: bool, **options: Any) -> str:
        assert local_files_only
        return str(tmp_path)

    write_tiny_gpt2(tmp_path)
    monkeypatch.setattr(loading, "snapshot_download", fetch)
    assert model_folder(DEFAULT_ENCODER, None) == tmp_path


def test_the_bundled_model_is_safetensors_of_at_most_twelve_megabytes() -> None:
    folder = model_folder("bundled", None)
    names = {path.name for path in folder.iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "training.json"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl", ".py"))]
    assert sum(path.stat().st_size for path in folder.iterdir()) < 12_000_000
    training = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    for language in ("en", "zh"):
        after, before = training["after"][language], training["before"][language]
        assert after["bits_per_byte"] < 0.7 * before["bits_per_byte"]


def test_the_digest_changes_with_weights_and_vocabulary_only(tmp_path: Path) -> None:
    folder = write_tiny_gpt2(tmp_path)
    first = load_model(str(folder), None).digest
    (folder / "README.md").write_text("hello")
    assert load_model(str(folder), None).digest == first
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(bytes(data))
    assert load_model(str(folder), None).digest != first
