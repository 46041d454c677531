import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, GPT2LMHeadModel

from stream_app.encoder import create_encoder
from stream_app.encoder.gpt2 import batches
from stream_app.encoder.logits_norm import LogitsNorm
from stream_app.encoder.plain_text import plain_text
from stream_app.encoder.precision import fuse_gelu, resolve_precision
from stream_app.settings import load_settings
from tests.tiny_gpt2 import write_tiny_gpt2

TEXTS = ["$AAPL beats estimates", "今天天气很好", "a", "", "one two three " * 30, "🌟 hi"]


def plain(folder: str, text: str, limit: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden states and logits of one text by transformers alone, as anyone would write it."""
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32)
    model.eval()
    ids = tokenizer(text, return_tensors="pt")["input_ids"][:, :limit].long()
    with torch.inference_mode():
        out = model(ids, output_hidden_states=True)
    return out.hidden_states[-1][0], out.logits[0]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_gpt2(tmp_path_factory.mktemp("tiny")))


@pytest.mark.parametrize("name", ["tiny", "bundled"])
def test_pooled_vectors_agree_with_plain_transformers_one_text_at_a_time(
    name: str, tiny: str
) -> None:
    from stream_app.encoder.loading import model_folder

    folder = tiny if name == "tiny" else str(model_folder("bundled", None))
    settings = load_settings(encoder=tiny if name == "tiny" else name, precision="fp32")
    limit = 64 if name == "tiny" else settings.max_tokens
    for text, features in zip(TEXTS, create_encoder(settings).encode(TEXTS), strict=True):
        hidden = plain(folder, plain_text(text), limit)[0] if text else torch.zeros(0, 1)
        if len(hidden) < 2:
            assert features.embedding_norm == 0.0
            assert not any(features.embedding)
            assert features.signature == b""
        else:
            expected = float(hidden[1:].mean(dim=0).norm())
            assert features.embedding_norm == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["tiny", "bundled"])
def test_the_norm_of_the_logits_is_that_of_the_head(name: str, tiny: str) -> None:
    from stream_app.encoder.loading import model_folder

    folder = tiny if name == "tiny" else str(model_folder("bundled", None))
    encoder = create_encoder(load_settings(encoder=folder), logits_norm=True)
    limit = 64 if name == "tiny" else 1_024
    for text, features in zip(TEXTS, encoder.encode(TEXTS), strict=True):
        expected = float(plain(folder, text, limit)[1].double().norm()) if text else 0.0
        assert features.logits_norm == pytest.approx(expected, rel=1e-5)


def test_the_article_reads_all_the_positions_a_text_may_have(tiny: str) -> None:
    text = "x" * 60  # a token per byte, within the model's 64 positions
    encoder = create_encoder(load_settings(encoder=tiny, max_tokens=8), logits_norm=True)
    [features] = encoder.encode([text])
    assert features.logits_norm == pytest.approx(float(plain(tiny, text, 64)[1].norm()), rel=1e-4)


def test_norms_are_not_computed_unless_asked_for(tiny: str) -> None:
    [features] = create_encoder(load_settings(encoder=tiny)).encode(["some text"])
    assert features.logits_norm is None


def test_a_head_of_its_own_counts_not_the_embeddings(tmp_path: Path) -> None:
    folder = str(write_tiny_gpt2(tmp_path, tie_word_embeddings=False))
    [features] = create_encoder(load_settings(encoder=folder), logits_norm=True).encode(["hello"])
    assert features.logits_norm == pytest.approx(float(plain(folder, "hello", 64)[1].norm()), 1e-4)


def test_the_gram_matrix_sums_over_the_whole_vocabulary() -> None:
    torch.manual_seed(0)
    head, states = torch.randn(20_001, 16), torch.randn(7, 16)
    expected = float((states.double() @ head.double().T).norm())
    assert LogitsNorm(head)(states) == pytest.approx(expected, rel=1e-9)


def test_one_pass_gelu_is_the_same_function(tiny: str) -> None:
    ids = torch.arange(1, 40)[None]
    model: Any = GPT2LMHeadModel.from_pretrained(tiny, dtype=torch.float32)
    model.eval()
    with torch.inference_mode():
        before = model(ids).logits
        fuse_gelu(model.transformer)
        assert torch.allclose(model(ids).logits, before, rtol=1e-4, atol=1e-4)


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 200))
def test_batches_hold_every_text_with_tokens_once_within_the_budget(
    lengths: list[int], budget: int
) -> None:
    found = list(batches(lengths, budget))
    assert sorted(row for rows in found for row in rows) == [i for i, n in enumerate(lengths) if n]
    for rows in found:
        assert len(rows) == 1 or len(rows) * max(lengths[row] for row in rows) <= budget


def test_the_precision_asked_for_is_the_one_used() -> None:
    assert resolve_precision("fp32") == "fp32"
    assert resolve_precision("bf16") == "bf16"
    assert resolve_precision("auto") in ("fp32", "bf16")


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


def test_a_copy_with_another_link_and_handle_has_the_same_features(tiny: str) -> None:
    encoder = create_encoder(load_settings(encoder=tiny, precision="fp32"))
    one, other = encoder.encode(["@ann see http://t.co/abc", "@bob see  https://t.co/xyz?q=1"])
    assert one == other
