"""Folding, rule by rule; the laws over random histories are in test_fold_laws."""

import math

import numpy as np
import pytest

from stream_app.core.aggregate import Outcome, copy_row, fold_post, needs_features, new_row
from stream_app.core.row import Transition, UserRow, decode_row, encode_row
from stream_app.core.standing import standing_of
from stream_app.messages import Post, TextFeatures
from stream_app.messages.fields import MAX_COUNT
from tests.builders import NOON, make_interaction, make_post
from tests.histories import Event, features_of, fold, row_after
from tests.schemes import DAY_MS, make_scheme

SCHEME = make_scheme()
TEXT = "Shares fall on weak outlook."


def post(**changes: object) -> Post:
    return make_post(**({"text": TEXT} | changes))


def outcomes(*events: Event, **changes: object) -> list[Outcome | None]:
    rows: dict[str, UserRow] = {}
    scheme = make_scheme(**changes)
    return [fold(rows, event, scheme) for event in events]


def attention(*events: Event, **changes: object) -> float:
    """As of the newest event of the row."""
    scheme = make_scheme(**changes)
    standing = standing_of(row_after(events, scheme), scheme)
    assert standing is not None
    return standing.attention


# -- posts and their observations


def test_a_newer_observation_moves_the_counts_up_and_down() -> None:
    first = post(like_count=5)
    more, less = (
        post(like_count=n, observed_at=NOON + n) for n in (9, 10)
    )  # 9 likes a moment later, 10 yet later
    assert attention(first) == 6.0
    assert attention(first, more) == 10.0
    assert attention(first, more, post(like_count=2, observed_at=NOON + 10)) == 3.0
    assert outcomes(first, more, less) == [Outcome.NEW, Outcome.OBSERVED, Outcome.OBSERVED]


def test_an_older_or_equal_observation_moves_no_count() -> None:
    newer = post(like_count=5, observed_at=NOON + 2)
    older = post(like_count=99, reply_count=7, observed_at=NOON + 1)
    equal = post(like_count=98, observed_at=NOON + 2)
    assert outcomes(newer, older, equal) == [Outcome.NEW, Outcome.STALE, Outcome.STALE]
    assert attention(newer, older, equal) == 6.0


def test_a_count_that_an_observation_lacks_keeps_its_last_known_value() -> None:
    assert attention(post(like_count=5), post(reply_count=1, observed_at=NOON + 1)) == 8.0


def test_an_unknown_count_is_no_zero_but_weighs_nothing() -> None:
    row = row_after([post(like_count=0)], SCHEME)
    assert row.remembered[0].counts == [0, None, None, None, None, None]


def test_a_text_is_scored_once_and_the_first_time_of_creation_stays() -> None:
    again = post(text="else", created_at=NOON + 5, observed_at=NOON + 6)
    row = row_after([post()], SCHEME)
    assert not needs_features(row, again, SCHEME)
    assert fold_post(row, again, None, SCHEME) is Outcome.OBSERVED
    assert (row.remembered[0].created_at, row.newest_post_at, row.posts) == (NOON, NOON, 1)


def test_every_post_of_a_user_nothing_is_known_of_needs_features() -> None:
    assert needs_features(None, post(), SCHEME)


def test_a_new_post_without_features_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="not encoded"):
        fold_post(new_row("twitter", "u1"), post(), None, SCHEME)


def test_the_first_address_of_a_post_is_kept() -> None:
    events = [post(), post(url="a", observed_at=NOON + 1), post(url="b", observed_at=NOON + 2)]
    assert row_after(events, SCHEME).remembered[0].url == "a"


# -- memory


def test_an_unknown_post_older_than_a_full_memory_counts_as_forgotten() -> None:
    newer = [post(id=f"n{i}", created_at=NOON + i) for i in (1, 2)]
    late = post(id="late", like_count=9, follower_count=7, observed_at=NOON + 5)
    assert outcomes(*newer, late, post_memory=2)[-1] is Outcome.FORGOTTEN
    row = row_after([*newer, late], make_scheme(post_memory=2))
    assert (row.posts, row.follower_count) == (2, 7)
    assert attention(*newer, late, post_memory=2) == attention(*newer, post_memory=2)


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_posts_of_one_moment_count_once_when_memory_holds_only_one(names: tuple[str, str]) -> None:
    """Times in whole seconds are common; a post let go must not count as new when seen again."""
    scheme = make_scheme(post_memory=1)
    first, second = (post(id=name, like_count=1) for name in names)
    again = [post(id=name, like_count=2, observed_at=NOON + 1) for name in names]
    row = row_after([first, second, *again, *again], scheme)
    assert row.posts == (2 if names == ("a", "b") else 1)
    assert len(row.remembered) == 1
    assert row.remembered[0].id == "b"


def test_what_a_forgotten_post_contributed_stays() -> None:
    events = [post(id=f"p{i}", created_at=NOON + i * DAY_MS, like_count=i) for i in range(5)]
    assert attention(*events, post_memory=2) == pytest.approx(attention(*events), rel=1e-12)
    row = row_after(events, make_scheme(post_memory=2))
    assert row.settled_counts == [0 + 1 + 2, 0, 0, 0, 0, 0]


def test_settled_counts_stop_at_the_largest_count_there_is() -> None:
    """Six posts of absurd counts are legal; the row must stay one that can be written."""
    events = [
        post(id=f"p{i}", created_at=NOON + i, like_count=MAX_COUNT, view_count=i) for i in range(6)
    ]
    row = row_after(events, make_scheme(post_memory=1))
    assert row.settled_counts == [MAX_COUNT, 0, 0, 0, 0, 0 + 1 + 2 + 3 + 4]
    assert decode_row(encode_row(row, 1.0, 2)) == row


def test_a_post_let_go_for_the_length_of_its_id_counts_once_too() -> None:
    ids = [f"{number:03d}" + "好" * 509 for number in range(200)]
    events = [post(id=name, created_at=NOON + i) for i, name in enumerate(ids)]
    scheme = make_scheme(post_memory=1024)
    row = row_after([*events, *events], scheme)
    assert row.posts == 200
    assert 100 < len(row.remembered) < 200
    assert attention(*events, post_memory=1024) == pytest.approx(200, rel=1e-6)


def test_addresses_are_kept_of_the_newest_ten_posts() -> None:
    events = [post(id=f"{i:02d}", created_at=NOON + i, url=f"u{i}") for i in range(12)]
    late = post(id="late", created_at=NOON - 1, url="late")
    again = post(id="00", created_at=NOON, observed_at=NOON + 99, url="again")
    row = row_after([*events, late, again], SCHEME)
    kept = [entry.url for entry in row.remembered]
    assert kept == [None] * 3 + [f"u{i}" for i in range(2, 12)]


@pytest.mark.parametrize("memory", [64, 1024])
def test_the_longest_row_there_can_be_stays_far_below_a_mebibyte(memory: int) -> None:
    """A row that the changelog refuses would stop the worker for ever."""
    scheme = make_scheme(post_memory=memory, interaction_memory=memory)
    longest = "\U0001f600" * 512
    label = "\U0001f600" * 2048
    events: list[Event] = []
    for number in range(memory + 1):
        name = f"{number:04d}" + longest[4:]
        events.append(
            make_interaction(
                id=name, target_user_id="\U0001f600" * 256, target_post_id=longest, actor_id="x"
            )
        )
        events.append(
            post(
                id=name,
                user_id="\U0001f600" * 256,
                created_at=NOON + number,
                url=label,
                handle=label,
                display_name=label,
                view_count=MAX_COUNT,
            )
        )
    rows: dict[str, UserRow] = {}
    for event in events:
        fold(rows, event, scheme)
    (row,) = rows.values()
    # The stored event of a transition repeats the key, the names and a post's id.
    row.transition = Transition("", 1, (row.key + label + label + longest).encode() + bytes(4096))
    assert len(encode_row(row, 0.0, 0)) < 800_000


# -- the person


def test_followers_are_judged_by_their_own_newest_observation_over_all_posts() -> None:
    newest = post(id="b", follower_count=5, observed_at=NOON + 9)
    older = post(id="c", follower_count=6, observed_at=NOON + 8)
    unknown = post(id="d", observed_at=NOON + 10)
    same_time = post(id="e", follower_count=7, observed_at=NOON + 9)
    for events in ([newest, older, unknown, same_time], [older, newest, same_time, unknown]):
        assert row_after(events, SCHEME).follower_count == 5


def test_a_stale_observation_may_still_bring_the_first_follower_count() -> None:
    events = [post(observed_at=NOON + 2), post(observed_at=NOON + 1, follower_count=3)]
    assert outcomes(*events)[-1] is Outcome.STALE
    assert row_after(events, SCHEME).follower_count == 3


def test_unknown_followers_are_not_none_at_all() -> None:
    row = row_after([post()], SCHEME)
    standing = standing_of(row, SCHEME)
    assert standing is not None
    assert row.follower_count is None
    assert (standing.reach, standing.reach_known) == (SCHEME.neutral_reach, False)
    nobody = standing_of(row_after([post(follower_count=0)], SCHEME), SCHEME)
    assert nobody is not None
    assert (nobody.reach, nobody.reach_known) == (0.0, True)
    assert nobody.z < standing.z


def test_names_follow_the_newest_observation_that_has_any() -> None:
    events = [
        post(handle="old", display_name="Old"),
        post(id="b", handle="new", observed_at=NOON + 2),
        post(id="c", handle="late", observed_at=NOON + 1),
        post(id="d", observed_at=NOON + 3),
    ]
    row = row_after(events, SCHEME)
    assert (row.handle, row.display_name) == ("new", "Old")


# -- interactions


def test_an_interaction_that_names_a_remembered_post_is_one_more_on_its_count() -> None:
    likes = [make_interaction(id=f"i{i}", created_at=NOON + i * DAY_MS) for i in range(3)]
    assert attention(post(), *likes) == attention(post(like_count=3)) == 4.0


def test_an_interaction_waits_for_its_post_within_memory() -> None:
    reply = make_interaction(kind="reply")
    waiting = row_after([reply], SCHEME)
    assert waiting.heard[0].waiting_for == "p1"
    assert standing_of(waiting, SCHEME) is None
    assert attention(reply, post()) == attention(post(), reply) == 3.0


def test_an_interaction_with_an_unknown_post_counts_from_its_own_time() -> None:
    later = NOON + 30 * DAY_MS
    assert attention(
        make_interaction(target_post_id="other", created_at=NOON), post(created_at=later)
    ) == pytest.approx(0.5 + 1)


def test_one_that_waits_no_longer_for_lack_of_memory_keeps_its_weight() -> None:
    early = make_interaction(id="early", kind="reply", created_at=NOON)
    more = make_interaction(id="more", target_post_id=None, created_at=NOON)
    row = row_after([early, more], make_scheme(interaction_memory=1))
    assert row.loose == 2.0 + 1.0
    assert attention(early, more, post(), interaction_memory=1) == 1 + 2 + 1


def test_the_same_interaction_counts_once_as_far_as_memory_reaches() -> None:
    follow = make_interaction(kind="follow", target_post_id=None, created_at=NOON)
    others = [
        make_interaction(id=f"o{i}", kind="mention", target_post_id=None, created_at=NOON)
        for i in range(2)
    ]
    assert outcomes(follow, follow) == [Outcome.HEARD, Outcome.STALE]
    assert attention(post(), follow, follow) == 3.0
    assert attention(post(), follow, *others, follow, interaction_memory=3) == 5.0
    assert attention(post(), follow, *others, follow, interaction_memory=2) == 7.0


def test_an_interaction_without_weight_leaves_the_others_as_they_are() -> None:
    """Its time must not become the reference time, before which all others would vanish."""
    weights = {**SCHEME.weights, "mention": 0.0}
    short = {"weights": weights, "half_life_ms": 3_600_000.0}
    like = make_interaction(target_post_id="other", created_at=NOON)
    for target in (None, "other"):
        mention = make_interaction(
            id="i2", kind="mention", target_post_id=target, created_at=NOON + 100 * DAY_MS
        )
        assert attention(post(), like, mention, **short) == pytest.approx(2.0)


def test_interactions_of_all_kinds_are_counted_as_they_come() -> None:
    events = [make_interaction(), make_interaction(id="i2", kind="follow", target_post_id=None)]
    assert row_after(events, SCHEME).interactions == [1, 0, 0, 0, 0, 1]


# -- texts


def test_copies_of_ones_own_posts_lower_the_text_factor() -> None:
    different = post(id="b", text="今天天气很好", created_at=NOON + 1)
    copy = post(id="c", created_at=NOON + 2)
    values = []
    for events in ([post()], [post(), different], [post(), different, copy]):
        standing = standing_of(row_after(events, SCHEME), SCHEME)
        assert standing is not None
        values.append(standing.text)
    assert values[:2] == [1.0, 1.0]
    assert values[2] == pytest.approx((1 + 1 + 0.1) / 3)


def test_texts_that_cannot_be_compared_stay_out_of_the_text_factor() -> None:
    standing = standing_of(row_after([post(text="x"), post(id="b", text="")], SCHEME), SCHEME)
    assert standing is not None
    assert (standing.text, standing.text_known) == (1.0, False)


def test_texts_of_long_ago_say_nothing_rather_than_something_false() -> None:
    """Weights that have all but underflowed gave an originality of 0, which has no logarithm."""
    scheme = make_scheme(half_life_ms=3_600_000.0)
    old = [post(id=f"p{i}", created_at=NOON + i) for i in range(3)]
    for half_lives in (900, 1000, 1073, 1074, 1075, 1080, 2000):
        new = post(id="new", text="x", created_at=NOON + half_lives * 3_600_000)
        standing = standing_of(row_after([*old, new], scheme), scheme)
        assert standing is not None
        assert standing.text == (1.0 if not standing.text_known else pytest.approx(0.4))
        assert math.isfinite(standing.z)


def test_the_embedding_is_the_decayed_mean_over_posts_in_any_order() -> None:
    texts = ["Shares fall on weak outlook.", "今天天气很好"]
    first, second = (
        np.frombuffer(features_of(text).embedding, "<f2").astype(np.float64) for text in texts
    )
    a = post(text=texts[0])
    b = post(id="b", text=texts[1], created_at=NOON + 30 * DAY_MS)
    for events in ([a, b], [b, a]):
        row = row_after(events, SCHEME)
        mean = np.frombuffer(row.embedding, "<f2").astype(np.float64)
        assert mean == pytest.approx((first * 0.5 + second) / 1.5, rel=2e-3)
        assert row.embedding_weight == pytest.approx(1.5)


def test_an_encoder_may_give_no_embedding() -> None:
    bare = TextFeatures(embedding=b"", embedding_norm=0.0, signature=b"", logits_norm=None)
    row = new_row("twitter", "u1")
    fold_post(row, post(), bare, SCHEME)
    assert (row.embedding, row.embedding_weight, row.logits_norms) == (b"", 0.0, 0.0)


def test_a_copied_row_is_equal_and_independent() -> None:
    row = row_after([post(like_count=1), make_interaction()], SCHEME)
    copy = copy_row(row)
    fold({row.key: copy}, post(like_count=5, observed_at=NOON + 1), SCHEME)
    assert (row.remembered[0].counts[0], copy.remembered[0].counts[0]) == (1, 5)
    assert copy_row(row) == row
