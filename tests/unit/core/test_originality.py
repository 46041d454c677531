import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.core.originality import (
    COPY,
    DIFFERENT,
    FLOOR,
    SIGNS,
    nearest_distances,
    originalities,
    originality,
    originality_at,
    similarity_at,
)

signature = st.binary(min_size=32, max_size=32)
#: few different bytes, so that near ones and copies occur
near = st.lists(st.sampled_from([0, 1, 255]), min_size=32, max_size=32).map(bytes)
maybe = st.one_of(signature, near, st.just(b""))


@given(st.lists(maybe, max_size=70))
def test_the_fast_form_is_each_post_against_all_before_it(signatures: list[bytes]) -> None:
    one_by_one = [originality(own, signatures[:i]) for i, own in enumerate(signatures)]
    assert originalities(signatures) == one_by_one


@given(signature, st.lists(maybe, max_size=10))
def test_originality_lies_between_the_floor_and_one(own: bytes, earlier: list[bytes]) -> None:
    value = originality(own, earlier)
    assert value is not None
    assert FLOOR <= value <= 1.0


@given(signature, st.lists(maybe, max_size=10), maybe)
def test_more_earlier_posts_never_make_a_post_more_original(
    own: bytes, earlier: list[bytes], another: bytes
) -> None:
    before, after = originality(own, earlier), originality(own, [*earlier, another])
    assert before is not None
    assert after is not None
    assert after <= before


@given(near, st.lists(maybe, max_size=10), st.randoms())
def test_the_order_of_the_earlier_posts_does_not_matter(
    own: bytes, earlier: list[bytes], random: object
) -> None:
    assert originality(own, earlier) == originality(own, earlier[::-1])


@given(signature, signature)
def test_distance_is_symmetric_and_counts_signs(one: bytes, other: bytes) -> None:
    [distance] = nearest_distances(one, [other])
    assert [distance] == nearest_distances(other, [one])
    assert distance == sum((a ^ b).bit_count() for a, b in zip(one, other, strict=True))


@given(signature)
def test_a_copy_falls_to_the_floor(own: bytes) -> None:
    assert originality(own, [b"", own]) == pytest.approx(FLOOR)


def test_a_first_post_is_original() -> None:
    assert originality(bytes(32), []) == 1.0
    assert originality(bytes(32), [b""]) == 1.0
    assert originality_at(-1) == 1.0


def test_a_post_without_signature_stays_out() -> None:
    assert originality(b"", [bytes(32)]) is None
    assert originalities([b"", bytes(32), b""]) == [None, 1.0, None]
    assert originalities([b"", b""]) == [None, None]
    assert originalities([]) == []


def test_originality_never_falls_with_distance_and_is_one_for_different_texts() -> None:
    values = [originality_at(distance) for distance in range(SIGNS + 1)]
    assert values == sorted(values)
    for distance, value in enumerate(values):
        if similarity_at(distance) <= DIFFERENT:
            assert value == 1.0
        if similarity_at(distance) >= COPY:
            assert value == pytest.approx(FLOOR)


def test_opposite_signatures_are_as_different_as_can_be() -> None:
    assert originalities([bytes(32), b"\xff" * 32]) == [1.0, 1.0]
    assert similarity_at(SIGNS) == -1.0
