"""The event of a change of tier, and the law that each user's events chain."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.core.scheme import Scheme
from stream_app.core.standing import Standing, standing_of
from stream_app.core.tiers import Line, TierLine, decide
from stream_app.core.transitions import transition_event
from stream_app.messages import Cause, KolEvent, decode_kept_event, encode_event, rfc3339
from tests.builders import NOON, make_post
from tests.histories import row_after
from tests.schemes import DAY_MS, KOL, TOP, make_scheme

SCHEME = make_scheme(tiers=(KOL, TOP))
NOW = NOON + 30 * DAY_MS
POST = Cause(type="post", topic="posts", partition=3, offset=42, post_id="p1")
LINE_MOVED = Cause(type="threshold", threshold_version=7)


def somebody() -> Standing:
    post = make_post(text="Shares fall on weak outlook.", like_count=9, follower_count=99)
    found = standing_of(row_after([post], SCHEME), SCHEME)
    assert found is not None
    return found


def line_around(z: float) -> Line:
    """Lines of `kol` and `top`, both with entering values below `z`."""
    tiers = (
        TierLine("kol", 0.90, z - 2.0, z - 2.5),
        TierLine("top", 0.99, z - 1.0, z - 1.5),
    )
    return Line(7, NOW, NOW, 1234, tiers, {})


def event(
    level: int,
    from_tier: str | None,
    *,
    line: Line | None = None,
    cause: Cause = POST,
    percentile: float | None = 99.5,
    scheme: Scheme = SCHEME,
) -> KolEvent:
    standing = somebody()
    return transition_event(
        standing,
        level=level,
        from_tier=from_tier,
        line=line_around(standing.z) if line is None else line,
        cause=cause,
        occurred_at=NOW,
        percentile=percentile,
        scheme=scheme,
    )


def test_a_promotion_shows_the_entering_value_of_the_tier_entered() -> None:
    promoted = event(2, None)
    standing = somebody()
    assert (promoted.kind, promoted.tier, promoted.from_tier) == ("promoted", "top", None)
    assert promoted.score == SCHEME.score_at(standing.z, NOW)
    assert promoted.threshold == SCHEME.score_at(standing.z - 1.0, NOW)
    assert (promoted.quantile, promoted.population, promoted.percentile) == (0.99, 1234, 99.5)
    assert promoted.user.key == "twitter:u1"
    assert promoted.cause is POST


def test_a_demotion_shows_the_leaving_value_of_the_tier_left() -> None:
    standing = somebody()
    tiers = (
        TierLine("kol", 0.90, standing.z + 0.1, standing.z - 0.1),
        TierLine("top", 0.99, standing.z + 2.0, standing.z + 1.0),
    )
    demoted = event(1, "top", line=Line(7, NOW, NOW, 1234, tiers, {}), cause=LINE_MOVED)
    assert (demoted.kind, demoted.tier, demoted.from_tier) == ("demoted", "kol", "top")
    assert demoted.threshold == SCHEME.score_at(standing.z + 1.0, NOW)
    assert demoted.quantile == 0.99
    assert demoted.score < demoted.threshold


def test_values_are_as_of_the_transition_and_on_one_scale() -> None:
    promoted = event(1, None)
    assert promoted.occurred_at == rfc3339(NOW)
    attention = next(f for f in promoted.factors if f.name == "attention")
    assert attention.value == pytest.approx(0.5 * (1 + 9))
    total = sum(f.contribution for f in promoted.factors if f.contribution is not None)
    assert total == pytest.approx(math.log(promoted.score), rel=1e-9, abs=1e-9)


def test_logarithms_that_give_one_number_still_show_on_which_side_the_score_was() -> None:
    """Near 1 the exponentials of neighbouring logarithms are the same double."""
    scheme = make_scheme(preset="article", tiers=(KOL, TOP), leave_margin=0.0)
    z = math.nextafter(0.25, 0)
    assert math.exp(z) == math.exp(0.25)
    standing = msgspec.structs.replace(somebody(), z=z)
    bound = (TierLine("kol", 0.90, 0.25, 0.25), TierLine("top", 0.99, 0.25, 0.25))
    found = transition_event(
        standing,
        level=0,
        from_tier="kol",
        line=Line(7, NOW, NOW, 1234, bound, {}),
        cause=LINE_MOVED,
        occurred_at=NOW,
        percentile=50.0,
        scheme=scheme,
    )
    assert found.threshold is not None
    assert found.score < found.threshold == pytest.approx(found.score, rel=1e-15)


def test_one_who_leaves_the_population_has_no_percentile() -> None:
    cause = Cause(type="inactivity", threshold_version=7)
    gone = event(0, "kol", cause=cause, percentile=None)
    assert (gone.kind, gone.tier, gone.percentile) == ("demoted", None, None)
    assert gone.threshold is not None


def test_inactivity_needs_no_line() -> None:
    none = (TierLine("kol", 0.90), TierLine("top", 0.99))
    cause = Cause(type="inactivity", threshold_version=7)
    gone = event(0, "top", line=Line(7, NOW, NOW, 3, none, {}), cause=cause, percentile=None)
    assert (gone.threshold, gone.quantile) == (None, 0.99)


def test_a_tier_that_the_line_does_not_know_yet_still_has_its_quantile() -> None:
    """The worker was started with another tier, and the last line is older than that."""
    older = Line(7, NOW, NOW, 3, (TierLine("kol", 0.90),), {})
    gone = event(0, "top", line=older, cause=Cause(type="inactivity", threshold_version=7))
    assert (gone.threshold, gone.quantile) == (None, 0.99)


def test_a_tier_that_is_no_longer_configured_has_neither_quantile_nor_threshold() -> None:
    demoted = event(0, "gone", cause=LINE_MOVED)
    assert (demoted.kind, demoted.from_tier) == ("demoted", "gone")
    assert (demoted.threshold, demoted.quantile) == (None, None)
    promoted = event(1, "gone", cause=LINE_MOVED)
    assert (promoted.kind, promoted.quantile) == ("promoted", 0.90)


def test_the_stored_event_can_be_read_again() -> None:
    """As the row keeps it, `emitted_at` empty, it goes through the bytes unchanged."""
    for stored in (event(2, None), event(0, "gone", percentile=None)):
        assert stored.emitted_at == ""
        assert decode_kept_event(encode_event(stored)) == stored


def test_the_same_transition_has_the_same_id_and_others_have_others() -> None:
    ids = [
        event(2, None).event_id,
        event(1, None).event_id,
        event(2, "kol").event_id,
        event(2, None, cause=LINE_MOVED).event_id,
    ]
    assert len(set(ids)) == 4
    assert event(2, None, percentile=1.0).event_id == ids[0]


lines = st.tuples(st.floats(-3, 3), st.floats(0, 1), st.floats(0.1, 2)).map(
    lambda found: (
        TierLine("kol", 0.90, found[0], found[0] - found[1]),
        TierLine("top", 0.99, found[0] + found[2], found[0] + found[2] - found[1]),
    )
)


@given(st.lists(st.tuples(st.booleans(), lines), max_size=12))
def test_the_events_of_a_user_chain_and_name_a_line_that_was_crossed(
    steps: list[tuple[bool, tuple[TierLine, TierLine]]],
) -> None:
    """Whatever lines come, and whether or not she is in the population meanwhile."""
    standing = somebody()
    offset_z = standing.z
    tier: str | None = None
    for version, (counted, relative) in enumerate(steps, start=1):
        tiers = tuple(
            TierLine(t.name, t.quantile, offset_z + (t.enter_z or 0), offset_z + (t.leave_z or 0))
            for t in relative
        )
        level = SCHEME.level_of(tier)
        new = decide(standing.z, counted=counted, level=level, lines=tiers)
        if new == level:
            continue
        found = transition_event(
            standing,
            level=new,
            from_tier=tier,
            line=Line(version, NOW, NOW, 200, tiers, {}),
            cause=Cause(type="threshold" if counted else "inactivity", threshold_version=version),
            occurred_at=NOW,
            percentile=50.0 if counted else None,
            scheme=SCHEME,
        )
        assert found.from_tier == tier
        assert found.tier != tier
        assert found.kind == ("promoted" if new > level else "demoted")
        assert found.threshold is not None
        if found.kind == "promoted":
            assert found.score >= found.threshold
        elif counted:
            assert found.score < found.threshold
        tier = found.tier
