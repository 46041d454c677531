import gc
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from stream_app.encoder import CachedEncoder
from tests.fakes import FakeEncoder

short = st.text("abc", max_size=2)


@given(st.lists(st.lists(short, max_size=12), max_size=8), st.integers(0, 6))
def test_the_answers_are_those_of_the_encoder_whatever_is_kept(
    calls: list[list[str]], capacity: int
) -> None:
    cached = CachedEncoder(FakeEncoder(), capacity)
    for texts in calls:
        assert cached.encode(texts) == FakeEncoder().encode(texts)
    assert cached.hits + cached.misses == sum(map(len, calls))


def test_repeats_within_a_call_are_encoded_once() -> None:
    inner = FakeEncoder()
    CachedEncoder(inner, 0).encode(["one", "two", "one", "one"])
    assert inner.encoded == 2


def test_a_text_seen_lately_is_not_encoded_again() -> None:
    inner = FakeEncoder()
    cached = CachedEncoder(inner, 2)
    cached.encode(["one", "two"])
    cached.encode(["two"])
    assert (inner.encoded, cached.hits, cached.misses) == (2, 1, 2)


def test_the_text_used_longest_ago_is_forgotten_first() -> None:
    inner = FakeEncoder()
    cached = CachedEncoder(inner, 2)
    for text in ("one", "two", "one", "three"):
        cached.encode([text])
    cached.encode(["one"])
    assert inner.encoded == 3
    cached.encode(["two"])
    assert inner.encoded == 4


def test_the_identity_is_the_encoder_s() -> None:
    assert CachedEncoder(FakeEncoder(), 1).identity == FakeEncoder.identity


def test_texts_of_which_the_same_is_read_are_one_text() -> None:
    inner = FakeEncoder()
    cached = CachedEncoder(inner, 10, read=str.casefold)
    one, other = cached.encode(["One", "ONE"])
    [again] = cached.encode(["one"])
    assert one == other == again == FakeEncoder().encode(["one"])[0]
    assert (inner.encoded, cached.hits, cached.misses) == (1, 2, 1)


def test_a_text_that_is_kept_takes_the_memory_that_its_setting_states() -> None:
    texts, stated = 2_000, 600  # bytes: "some 0.5 kB each"
    cached = CachedEncoder(FakeEncoder(), texts)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for first in range(0, 10 * texts, 100):
            cached.encode([f"text {n}" for n in range(first, first + 100)])
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert taken <= stated * texts
