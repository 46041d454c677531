import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from stream_app.encoder import CachedEncoder, create_encoder
from stream_app.errors import SettingsError
from stream_app.settings import load_settings
from tests.plain_gpt2 import plain_states
from tests.tiny_gpt2 import write_tiny_gpt2


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_gpt2(tmp_path_factory.mktemp("tiny")))


def logits_norm(folder: str, text: str) -> float:
    return float(plain_states(folder, text, 64).logits.double().norm())


def test_the_article_reads_all_the_positions_a_text_may_have(tiny: str) -> None:
    text = "x" * 60  # a token per byte, within the model's 64 positions
    encoder = create_encoder(load_settings(encoder=tiny, max_tokens=8), logits_norm=True)
    [features] = encoder.encode([text])
    assert features.logits_norm == pytest.approx(logits_norm(tiny, text), rel=1e-5)


def test_norms_are_not_computed_unless_asked_for(tiny: str) -> None:
    [features] = create_encoder(load_settings(encoder=tiny)).encode(["some text"])
    assert features.logits_norm is None


def test_a_head_of_its_own_counts_not_the_embeddings(tmp_path: Path) -> None:
    folder = str(write_tiny_gpt2(tmp_path, tie_word_embeddings=False))
    [features] = create_encoder(load_settings(encoder=folder), logits_norm=True).encode(["hello"])
    assert features.logits_norm == pytest.approx(logits_norm(folder, "hello"), rel=1e-5)


def test_the_number_of_threads_is_the_setting_s(tiny: str) -> None:
    before = torch.get_num_threads()
    try:
        create_encoder(load_settings(encoder=tiny, torch_threads=1))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_importing_the_package_loads_neither_torch_nor_transformers() -> None:
    code = (
        "import sys, stream_app.encoder; "
        "assert not {'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_embedding_of_a_text_is_a_fixed_projection_of_its_vector(tiny: str) -> None:
    [features] = create_encoder(load_settings(encoder=tiny, precision="fp32")).encode(["hello you"])
    length = float(np.linalg.norm(np.frombuffer(features.embedding, "<f2").astype(np.float32)))
    assert 0.5 < length / features.embedding_norm < 2.0  # random projections keep lengths, roughly


def test_a_copy_with_another_link_and_handle_is_not_encoded_again(tiny: str) -> None:
    encoder = create_encoder(load_settings(encoder=tiny, precision="fp32"))
    assert isinstance(encoder, CachedEncoder)
    [one] = encoder.encode(["@ann see http://t.co/abc"])
    [other] = encoder.encode(["@bob see  https://t.co/xyz?q=1"])
    assert one == other
    assert (encoder.hits, encoder.misses) == (1, 1)


def test_the_article_takes_texts_as_they_are_and_knows_only_exact_copies(tiny: str) -> None:
    encoder = create_encoder(load_settings(encoder=tiny), logits_norm=True)
    assert isinstance(encoder, CachedEncoder)
    one, other, again = encoder.encode(
        ["see http://t.co/abc", "see http://t.co/x", "see http://t.co/x"]
    )
    assert one.logits_norm == pytest.approx(logits_norm(tiny, "see http://t.co/abc"), rel=1e-5)
    assert one != other == again
    assert (encoder.hits, encoder.misses) == (1, 2)


def test_many_texts_are_taken_in_parts_and_keep_their_order(
    tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = create_encoder(load_settings(encoder=tiny, precision="fp32"))
    some = [f"{chr(97 + n)}" * (n % 7) for n in range(23)]
    whole = [features.embedding_norm for features in encoder.encode(some)]
    monkeypatch.setattr("stream_app.encoder.gpt2.TEXTS_AT_ONCE", 5)
    again = create_encoder(load_settings(encoder=tiny, precision="fp32"))
    assert [one.embedding_norm for one in again.encode(some)] == pytest.approx(whole, rel=1e-4)


def test_more_layers_than_there_are_is_one_line_that_says_how_many(tiny: str) -> None:
    with pytest.raises(SettingsError, match=r"KOL_LAYERS: 4 .* has 3 layers"):
        create_encoder(load_settings(encoder=tiny, layers=4))


def test_all_layers_by_number_are_the_same_encoder_and_fewer_are_another(tiny: str) -> None:
    identities = [
        create_encoder(load_settings(encoder=tiny, layers=layers)).identity for layers in range(4)
    ]
    assert identities[0] == identities[3]
    assert len(set(identities)) == 3
