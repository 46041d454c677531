"""The bytes of a row: what goes in comes out, what is foreign is refused, version 1 stays."""

import base64
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.core.aggregate import new_row
from stream_app.core.row import (
    ROW_FORMAT,
    HeardInteraction,
    RememberedPost,
    SettledPosts,
    Transition,
    UserRow,
    decode_header,
    decode_row,
    encode_row,
)
from stream_app.messages.fields import MAX_COUNT

EXAMPLE = Path(__file__).parent / "data" / "row_format_1.b64"

texts = st.text(max_size=20)
times = st.integers(-1, 4_200_000_000_000)
counts = st.integers(0, MAX_COUNT)
decayed = st.floats(0, 1e300)
transitions = st.builds(
    Transition, topic=st.sampled_from(["", "posts"]), position=counts, event=st.binary(max_size=9)
)
rows = st.builds(
    UserRow,
    platform=texts,
    user_id=texts,
    handle=st.none() | texts,
    display_name=st.none() | texts,
    named_at=times,
    follower_count=st.none() | counts,
    followers_at=times,
    posts=counts,
    newest_post_at=times,
    remembered=st.lists(
        st.builds(
            RememberedPost,
            id=texts,
            created_at=times,
            observed_at=times,
            counts=st.lists(st.none() | counts, min_size=6, max_size=6),
            signature=st.binary(max_size=32),
            nearest=st.integers(-1, 256),
            interactions=st.lists(st.integers(0, 9), max_size=6),
            url=st.none() | texts,
        ),
        max_size=3,
    ),
    settled=st.builds(SettledPosts, at=times, attention=decayed, weight=decayed),
    settled_counts=st.lists(counts, min_size=6, max_size=6),
    heard=st.lists(
        st.builds(HeardInteraction, id=texts, kind=st.integers(0, 5), created_at=times), max_size=3
    ),
    loose=decayed,
    loose_at=times,
    embedding=st.binary(max_size=128),
    offsets=st.dictionaries(texts, counts, max_size=2),
    tier=st.none() | st.from_regex(r"[a-z][a-z0-9_-]{0,31}", fullmatch=True),
    tier_since=st.none() | times,
    transition=st.none() | transitions,
)


@given(rows, st.floats(allow_nan=False), st.integers(0, 2**64 - 1))
def test_what_is_encoded_is_decoded(row: UserRow, z: float, formula: int) -> None:
    data = encode_row(row, z, formula)
    assert decode_row(data) == row
    header = decode_header(data)
    assert (header.z, header.formula, header.tier) == (z, formula, row.tier)
    assert (header.newest_post_at, header.posts) == (row.newest_post_at, row.posts)


@given(rows)
def test_the_header_names_only_a_line_that_moved_the_user(row: UserRow) -> None:
    moved_by_line = row.transition is not None and not row.transition.topic
    header = decode_header(encode_row(row, 0.0, 0))
    expected = row.transition.position if moved_by_line and row.transition else 0
    assert header.transition_version == expected


def example() -> UserRow:
    """The row in the file: every field set, each to something else."""
    return UserRow(
        platform="twitter",
        user_id="u1",
        handle="one",
        display_name="Eins",
        named_at=1,
        follower_count=2,
        followers_at=3,
        posts=4,
        newest_post_at=1_404_216_000_000,
        remembered=[
            RememberedPost(
                "p1", 5, 6, [7, None, 8, 9, 10, 11], bytes(32), 12, [1, 0, 0, 0, 0, 2], "u", 13.5
            )
        ],
        settled=SettledPosts(14, 15.5, 16.5, 17.5, 18.5, 19.5),
        settled_counts=[20, 21, 22, 23, 24, 25],
        heard=[HeardInteraction("i1", 3, 26, "p2")],
        interactions=[27, 28, 29, 30, 31, 32],
        loose=33.5,
        loose_at=34,
        embedding=bytes(128),
        embedding_weight=35.5,
        embedding_at=36,
        logits_norms=37.5,
        offsets={"posts": 38, "interactions": 39},
        tier="kol",
        tier_since=40,
        transition=Transition("", 41, b"{}"),
    )


def test_an_example_of_format_1_still_decodes() -> None:
    """Never regenerate the file: rows like it lie in changelogs."""
    data = base64.b64decode(EXAMPLE.read_text())
    assert decode_row(data) == example()
    assert decode_header(data) == (42.5, 1_404_216_000_000, 4, 41, 43, "kol")
    assert ROW_FORMAT == 1


def test_every_field_of_a_row_is_in_the_example() -> None:
    """So that a field forgotten by the codec, or moved, shows."""
    plain, full = new_row("x", "y"), example()
    assert all(getattr(full, name) != getattr(plain, name) for name in full.__struct_fields__)
    defaults = RememberedPost("", 0, 0, [])
    post = full.remembered[0]
    assert all(getattr(post, name) != getattr(defaults, name) for name in post.__struct_fields__)


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x01\x00\x00\x00", bytes(200), b"\x02" * 200])
def test_foreign_bytes_are_refused_by_header_and_row(data: bytes) -> None:
    with pytest.raises(ValueError, match="row"):
        decode_header(data)
    with pytest.raises(ValueError, match="row"):
        decode_row(data)


@given(rows, st.integers(1, 40))
def test_a_truncated_row_is_refused(row: UserRow, missing: int) -> None:
    data = encode_row(row, 0.0, 0)
    with pytest.raises(ValueError, match="row"):
        decode_row(data[:-missing])


def test_rows_do_not_share_their_lists() -> None:
    one, other = new_row("x", "1"), new_row("x", "2")
    one.heard.append(HeardInteraction("i", 0, 0))
    one.settled_counts[0] = 1
    one.offsets["posts"] = 1
    assert other == new_row("x", "2")
    assert msgspec.structs.asdict(other)["settled_counts"] == [0] * 6
