"""The encoder gives what plain transformers gives in fp32 for one text at a time.

The tolerances are those that docs/performance.md states.
"""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from stream_app.encoder import CachedEncoder, create_encoder
from stream_app.encoder.gpt2 import Gpt2Encoder
from stream_app.encoder.loading import model_folder
from stream_app.encoder.plain_text import plain_text
from stream_app.messages import TextFeatures
from stream_app.settings import load_settings
from tests.plain_gpt2 import plain_states
from tests.tiny_gpt2 import write_tiny_gpt2

LONGEST = "Breaking: police confirm the road is closed after an accident near the bridge. " * 20
TEXTS = [
    "$AAPL beats estimates",
    "今天天气很好",
    "a",
    "",
    LONGEST,
    "🌟 hi",
    "$TSLA beats estimates",
]
BUDGETS = (1, 150, 100_000)  # each text alone; some together; all at once
ORDERS = (TEXTS, TEXTS[::-1], TEXTS * 2)


@dataclass(frozen=True)
class Tolerance:
    """Of what the features say against the plain model."""

    cosine: float  # of the embedding, at most so far below 1
    norm: float  # relative


TOLERANCES = {"fp32": Tolerance(1e-6, 1e-5), "bf16": Tolerance(1e-3, 1e-2)}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    tiny = str(write_tiny_gpt2(tmp_path_factory.mktemp("tiny")))
    return {"tiny": tiny, "bundled": str(model_folder("bundled", None))}


def inner(encoder: object) -> Gpt2Encoder:
    assert isinstance(encoder, CachedEncoder)
    assert isinstance(encoder._encoder, Gpt2Encoder)
    return encoder._encoder


def assert_agrees(
    found: TextFeatures, states: torch.Tensor, encoder: Gpt2Encoder, allowed: Tolerance
) -> None:
    if len(states) < 2:
        assert (found.embedding_norm, found.signature) == (0.0, b"")
        assert not any(found.embedding)
        return
    pooled = states[1:].mean(dim=0).numpy()
    expected = encoder._projection.embeddings(pooled[None])[0].astype(np.float64)
    ours = np.frombuffer(found.embedding, "<f2").astype(np.float64)
    cosine = ours @ expected / np.linalg.norm(ours) / np.linalg.norm(expected)
    assert 1.0 - cosine <= allowed.cosine
    assert found.embedding_norm == pytest.approx(float(np.linalg.norm(pooled)), rel=allowed.norm)


@pytest.mark.parametrize(
    ("name", "precision", "layers"),
    [
        ("tiny", "fp32", 0),
        ("tiny", "fp32", 2),
        ("tiny", "bf16", 0),
        ("tiny", "bf16", 2),
        ("bundled", "fp32", 0),
        ("bundled", "fp32", 2),
        ("bundled", "bf16", 0),
    ],
)
def test_features_agree_with_plain_transformers_one_text_at_a_time(
    name: str, precision: str, layers: int, folders: dict[str, str]
) -> None:
    settings = load_settings(encoder=folders[name], precision=precision, layers=layers)
    encoder = inner(create_encoder(settings))
    limit = 64 if name == "tiny" else settings.max_tokens
    plain = {
        text: plain_states(folders[name], plain_text(text), limit, layers).states for text in TEXTS
    }
    for encoder._budget in BUDGETS:
        for texts in ORDERS:
            read = [plain_text(text) for text in texts]
            for text, found in zip(texts, encoder.encode(read), strict=True):
                assert_agrees(found, plain[text], encoder, TOLERANCES[precision])


@pytest.mark.parametrize("name", ["tiny", "bundled"])
def test_the_norm_of_the_logits_is_that_of_the_head(name: str, folders: dict[str, str]) -> None:
    settings = load_settings(encoder=folders[name], precision="bf16", layers=1)  # to no avail
    encoder = inner(create_encoder(settings, logits_norm=True))
    limit = 64 if name == "tiny" else 1_024
    plain = {
        text: float(plain_states(folders[name], text, limit).logits.double().norm())
        for text in TEXTS
    }
    for encoder._budget in BUDGETS:
        for texts in ORDERS:
            for text, found in zip(texts, encoder.encode(texts), strict=True):
                assert found.logits_norm == pytest.approx(plain[text], rel=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"activation_function": "relu"},
        {"activation_function": "gelu"},
        {"scale_attn_by_inverse_layer_idx": True},
        {"scale_attn_weights": False},
        {"n_inner": 40},
        {"n_layer": 1, "n_head": 1},
    ],
    ids=str,
)
def test_whatever_a_gpt2_may_have_in_its_configuration_is_followed(
    changes: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = str(write_tiny_gpt2(tmp_path_factory.mktemp("odd"), **changes))
    for precision, allowed in TOLERANCES.items():
        encoder = create_encoder(load_settings(encoder=folder, precision=precision))
        for text, found in zip(TEXTS, encoder.encode(TEXTS), strict=True):
            states = plain_states(folder, plain_text(text), 64).states
            assert_agrees(found, states, inner(encoder), allowed)
