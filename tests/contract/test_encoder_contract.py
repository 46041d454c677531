"""What every encoder must do, run on the fake and on real GPT-2s."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from stream_app.core.originality import nearest_distances
from stream_app.encoder import CachedEncoder, Encoder, create_encoder
from stream_app.messages import EMBEDDING_DIMENSIONS, TextFeatures
from stream_app.settings import Settings, load_settings
from tests.fakes import FakeEncoder
from tests.tiny_gpt2 import write_tiny_gpt2

#: stated tolerance of one text's features between batches: share of the vector's length, signs
TOLERANCE = {"fp32": (1e-3, 2), "bf16": (1e-2, 6)}

TEXTS = [
    "$AAPL beats estimates again, and raises its outlook for the year http",
    "Dallas food",
    "",
    "今天天气很好，转发一下 @user",
    "a",
    "Breaking: police confirm the road is closed after an accident near the bridge. " * 20,
    "🌟 good morning",
    "今天的天气不好",
    "RT @user: $T $VZ",
]


def vectors(features: Sequence[TextFeatures]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    rows = [np.frombuffer(one.embedding, "<f2").astype(np.float32) for one in features]
    return np.array(rows).reshape(len(rows), -1)


def assert_same(one: Sequence[TextFeatures], other: Sequence[TextFeatures], precision: str) -> None:
    apart, signs = TOLERANCE[precision]
    assert len(one) == len(other)
    for a, b, va, vb in zip(one, other, vectors(one), vectors(other), strict=True):
        assert np.linalg.norm(va - vb) <= apart * max(1.0, a.embedding_norm)
        assert b.embedding_norm == pytest.approx(a.embedding_norm, rel=apart)
        assert len(a.signature) == len(b.signature)
        if a.signature:
            assert nearest_distances(a.signature, [b.signature])[0] <= signs


def settings(encoder: str, precision: str = "fp32") -> Settings:
    return load_settings(encoder=encoder, precision=precision, token_budget=256)


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Encoder, str]]:
    tiny = str(write_tiny_gpt2(tmp_path_factory.mktemp("tiny")))
    plain = {"text_cache": 0}
    bf16 = settings("bundled", "bf16").model_copy(update=plain)
    return {
        "fake": (FakeEncoder(), "fp32"),
        "tiny": (create_encoder(settings(tiny).model_copy(update=plain)), "fp32"),
        "bundled": (create_encoder(settings("bundled").model_copy(update=plain)), "fp32"),
        "bundled-bf16": (create_encoder(bf16), "bf16"),
        "cached": (create_encoder(settings("bundled")), "fp32"),
    }


@pytest.fixture(params=["fake", "tiny", "bundled", "bundled-bf16", "cached"])
def subject(
    request: pytest.FixtureRequest, encoders: dict[str, tuple[Encoder, str]]
) -> tuple[Encoder, str]:
    return encoders[request.param]


def test_a_batch_of_one_equals_a_row_of_a_larger_batch(subject: tuple[Encoder, str]) -> None:
    encoder, precision = subject
    alone = [encoder.encode([text])[0] for text in TEXTS]
    assert_same(alone, encoder.encode(TEXTS), precision)


def test_order_is_kept_whatever_the_lengths(subject: tuple[Encoder, str]) -> None:
    encoder, precision = subject
    backwards = encoder.encode(TEXTS[::-1])[::-1]
    assert_same(encoder.encode(TEXTS), backwards, precision)


def test_padding_beside_a_long_text_has_no_effect(subject: tuple[Encoder, str]) -> None:
    encoder, precision = subject
    short, long = "Dallas food", "word " * 40
    assert_same(encoder.encode([short]), encoder.encode([long, short])[1:], precision)


def test_the_same_text_twice_in_a_batch_has_the_same_features(
    subject: tuple[Encoder, str],
) -> None:
    encoder, precision = subject
    first, _, again = encoder.encode([TEXTS[0], TEXTS[3], TEXTS[0]])
    assert_same([first], [again], precision)


def test_no_texts_no_features(subject: tuple[Encoder, str]) -> None:
    assert subject[0].encode([]) == []


def test_empty_text_is_allowed_and_has_no_signature(subject: tuple[Encoder, str]) -> None:
    [features] = subject[0].encode([""])
    assert features.signature == b""
    assert len(features.embedding) == 2 * EMBEDDING_DIMENSIONS


def test_embeddings_are_finite_halves_and_signatures_256_signs(
    subject: tuple[Encoder, str],
) -> None:
    for features in subject[0].encode(TEXTS):
        assert np.isfinite(np.frombuffer(features.embedding, "<f2")).all()
        assert len(features.signature) in (0, 32)
        assert np.isfinite(features.embedding_norm)


def test_different_texts_have_different_signatures(subject: tuple[Encoder, str]) -> None:
    long = [features for features in subject[0].encode(TEXTS) if features.signature]
    assert len({features.signature for features in long}) == len(long)


def test_the_identity_is_one_line_and_stays(subject: tuple[Encoder, str]) -> None:
    encoder, _ = subject
    before = encoder.identity
    encoder.encode(["something"])
    assert before == encoder.identity
    assert before
    assert "\n" not in before


@pytest.mark.parametrize("name", ["tiny", "bundled", "bundled-bf16"])
def test_text_past_the_limit_of_tokens_has_no_effect(
    name: str, encoders: dict[str, tuple[Encoder, str]]
) -> None:
    encoder, precision = encoders[name]
    text = "one two three four five six " * 100
    assert_same(encoder.encode([text]), encoder.encode([text + "and something else"]), precision)


def test_bf16_agrees_with_fp32_within_the_stated_tolerance(
    encoders: dict[str, tuple[Encoder, str]],
) -> None:
    exact = encoders["bundled"][0].encode(TEXTS)
    assert_same(exact, encoders["bundled-bf16"][0].encode(TEXTS), "bf16")


def test_the_cache_changes_nothing(encoders: dict[str, tuple[Encoder, str]]) -> None:
    cached = encoders["cached"][0]
    assert isinstance(cached, CachedEncoder)
    first = cached.encode(TEXTS)
    assert cached.encode(TEXTS) == first
    assert_same(first, encoders["bundled"][0].encode(TEXTS), "fp32")


def test_identities_differ_where_the_features_do(tmp_path: Path) -> None:
    tiny = str(write_tiny_gpt2(tmp_path / "a"))
    other = str(write_tiny_gpt2(tmp_path / "b", n_layer=2))
    base = load_settings(encoder=tiny, precision="fp32")
    found = [
        create_encoder(base).identity,
        create_encoder(load_settings(encoder=other, precision="fp32")).identity,
        create_encoder(load_settings(encoder=tiny, precision="bf16")).identity,
        create_encoder(load_settings(encoder=tiny, precision="fp32", max_tokens=20)).identity,
        create_encoder(base, logits_norm=True).identity,
    ]
    assert len(set(found)) == len(found)
    assert create_encoder(base).identity == found[0]
