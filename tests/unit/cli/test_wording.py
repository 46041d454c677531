import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.cli import wording
from stream_app.messages import Cause, EventUser, Factor, KolEvent
from tests.builders import make_event

REACH = Factor(name="reach", value=214_001.0, exponent=0.3, contribution=3.68, known=True)
RESONANCE = Factor(name="resonance", value=8.1, exponent=0.4, contribution=0.84, known=True)
ATTENTION = Factor(name="attention", value=40.0, exponent=0.3, contribution=1.1, known=True)
ORIGINAL = Factor(name="text", value=1.0, exponent=0.1, contribution=0.0, known=True)
COPIES = Factor(name="text", value=0.4, exponent=0.1, contribution=-0.09, known=True)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (950, "950"),
        (999, "999"),
        (1_000, "1.0k"),
        (1_249, "1.2k"),
        (9_960, "10k"),
        (214_000, "214k"),
        (999_499, "999k"),
        (999_500, "1.0M"),
        (3_400_000, "3.4M"),
        (2**63 - 1, "9223372T"),
    ],
)
def test_counts_are_short(number: float, text: str) -> None:
    assert wording.short_count(number) == text


@given(st.integers(0, 10**15))
def test_a_short_count_takes_at_most_five_characters(number: int) -> None:
    assert len(wording.short_count(number)) <= 5


@pytest.mark.parametrize(
    ("score", "text"),
    [
        (None, "none"),
        (0.0, "0"),
        (51.23456, "51.23"),
        (0.012345, "0.01235"),
        (999.97, "1,000"),
        (123_456.7, "123,457"),
        (1.5e-9, "1.500e-09"),
        (2e15, "2.000e+15"),
    ],
)
def test_scores_have_four_digits_that_count(score: float | None, text: str) -> None:
    assert wording.score_text(score) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(8.44, "8.4 s"), (59.99, "1 min 00 s"), (200, "3 min 20 s"), (3_900, "1 h 05 min")],
)
def test_durations_are_read_at_a_glance(seconds: float, text: str) -> None:
    assert wording.seconds_text(seconds) == text


@given(st.text(), st.integers(1, 40))
def test_a_fitted_text_takes_exactly_its_columns(text: str, width: int) -> None:
    assert wording.cells(wording.fitted(text, width)) == width


@given(st.text())
def test_nothing_a_stranger_wrote_can_move_the_cursor(text: str) -> None:
    kept = wording.printable(text)
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in kept)
    assert len(kept.splitlines()) <= 1


def test_wide_characters_take_two_columns() -> None:
    assert wording.cells("小红书ab") == 8
    assert wording.fitted("小红书", 4) == "小… "


@pytest.mark.parametrize(
    ("handle", "display", "name"),
    [
        ("one", "The One", "@one"),
        ("@one", None, "@one"),
        (None, "The One", "The One"),
        ("\x1b[2J", None, "@[2J"),
        ("\u202e", None, "twitter:u1"),
        (None, None, "twitter:u1"),
    ],
)
def test_users_are_called_by_handle_then_name_then_key(
    handle: str | None, display: str | None, name: str
) -> None:
    assert wording.user_name("twitter:u1", handle, display) == name


def event(kind: str, cause: str, *factors: Factor, followers: int | None = 214_000) -> KolEvent:
    user = EventUser(key="x:1", platform="x", user_id="1", follower_count=followers)
    tiers = ("kol", None) if kind == "promoted" else (None, "kol")
    return make_event(
        kind=kind,
        tier=tiers[0],
        from_tier=tiers[1],
        user=user,
        factors=list(factors),
        cause=Cause(type=cause),  # type: ignore[arg-type]
    )


def test_a_promotion_is_explained_by_the_two_strongest_factors() -> None:
    reason = wording.main_reason(event("promoted", "post", RESONANCE, REACH, ATTENTION, ORIGINAL))
    assert reason == "214k followers, attention 40.0"


def test_resonance_is_what_a_typical_post_draws() -> None:
    reason = wording.main_reason(event("promoted", "observation", RESONANCE))
    assert reason == "a typical post draws 7.1"


def test_an_assumed_reach_is_no_reason() -> None:
    assumed = Factor(name="reach", value=401.0, exponent=0.3, contribution=1.8, known=False)
    reason = wording.main_reason(event("promoted", "post", assumed, RESONANCE, followers=None))
    assert reason == "a typical post draws 7.1"


def test_repeating_oneself_is_named() -> None:
    reason = wording.main_reason(event("promoted", "post", REACH, COPIES))
    assert reason == "214k followers, originality 0.40"


def test_a_line_that_moved_is_named() -> None:
    assert wording.main_reason(event("promoted", "threshold", REACH)).endswith(
        "the line moved below it"
    )
    assert wording.main_reason(event("demoted", "threshold", REACH)).startswith(
        "the line rose past it"
    )


def test_inactivity_needs_no_factors() -> None:
    assert wording.main_reason(event("demoted", "inactivity", REACH)) == "no recent posts"


@pytest.mark.parametrize("kind", ["promoted", "demoted"])
@pytest.mark.parametrize("cause", ["post", "observation", "interaction", "threshold", "inactivity"])
def test_every_event_has_a_line(kind: str, cause: str) -> None:
    line = wording.event_line(event(kind, cause, REACH, RESONANCE))
    assert line.startswith("2014-07-01 12:00  " + kind)
    assert "\n" not in line


def test_an_event_line_gives_way_to_a_narrow_terminal_but_keeps_the_reason() -> None:
    line = wording.event_line(event("promoted", "post", REACH, RESONANCE), 80)
    assert wording.cells(line) == 80
    assert "214k followers" in line
    assert line.endswith("…")


def test_a_wide_terminal_shows_an_event_as_a_pipe_does() -> None:
    wide = event("promoted", "post", REACH, RESONANCE)
    assert wording.event_line(wide, 200) == wording.event_line(wide)


@pytest.mark.parametrize(
    ("tier", "from_tier", "text"),
    [("kol", None, "kol"), ("top", "kol", "kol -> top"), (None, "kol", "out of kol")],
)
def test_a_change_of_tier_names_both_ends(
    tier: str | None, from_tier: str | None, text: str
) -> None:
    assert wording.tier_change(tier, from_tier) == text


def test_the_articles_text_factor_is_a_norm() -> None:
    norm = Factor(name="text", value=12_345.0, exponent=1.0, contribution=9.4, known=True)
    assert wording.main_reason(event("promoted", "post", norm)) == "text norm 12k"
