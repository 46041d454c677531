"""How numbers, users and KOL events read on a terminal. Pure: values in, words out."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from stream_app.messages import EventUser, Factor, KolEvent

_UNITS = ((1_000_000_000_000, "T"), (1_000_000_000, "B"), (1_000_000, "M"), (1_000, "k"))
NAME_CELLS = 20
_DULL_TEXT = 0.95  # originality below which repeating oneself is worth a word
_FEW = 2  # reasons in one line
_WIDE = 140  # columns in which a whole event fits
_GAP = "  "


def short_count(number: float) -> str:
    """A count in at most five characters: 950, 1.2k, 214k, 3.4M."""
    for unit, letter in _UNITS:
        # 999.5 k is already 1.0M: whatever would round up to the next unit belongs there.
        if number >= unit * 0.9995:
            scaled = number / unit
            return f"{scaled:.1f}{letter}" if scaled < 9.95 else f"{scaled:.0f}{letter}"
    return f"{number:.0f}"


def score_text(score: float | None) -> str:
    """A score with four significant digits, without exponent where it is of ordinary size."""
    if score is None:
        return "none"
    if score == 0:
        return "0"
    if not 1e-4 <= abs(score) < 1e12:
        return f"{score:.3e}"
    if abs(score) >= 999.95:
        return f"{score:,.0f}"
    return f"{score:#.4g}"


def percentile_text(percentile: float | None) -> str:
    """A percentile with one decimal; a dash outside the population."""
    return "-" if percentile is None else f"{percentile:.1f}"


def seconds_text(seconds: float) -> str:
    """A duration to read at a glance: 8.4 s, 3 min 20 s, 1 h 05 min."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3_600} h {whole % 3_600 // 60:02d} min"


def plural(number: int, noun: str, nouns: str | None = None) -> str:
    """`1 post`, `2 posts`, `1,234 posts`."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def minute_text(time: str | None) -> str:
    """An RFC 3339 UTC time to the minute: `2014-07-01 12:00`."""
    return "-" if time is None else time[:16].replace("T", " ")


def printable(text: str) -> str:
    """The text in one line and without control or invisible formatting characters.

    Names come from strangers: an escape sequence in one must not reach the terminal.
    """
    kept = ("" if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn") else c for c in text)
    return " ".join("".join(kept).split())


def cells(text: str) -> int:
    """Columns the text takes on a terminal: two for wide characters, none for combining ones."""
    return sum(_cell(character) for character in text)


def _cell(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fitted(text: str, width: int) -> str:
    """The text cut with an ellipsis, or padded with spaces, to exactly `width` columns."""
    return _cut(text, width) + " " * (width - cells(_cut(text, width)))


def _cut(text: str, width: int) -> str:
    if cells(text) <= width:
        return text
    taken, used = "", 0
    for character in text:
        if used + _cell(character) > width - 1:
            break
        taken, used = taken + character, used + _cell(character)
    return taken + "…"


def user_name(key: str, handle: str | None, display_name: str | None = None) -> str:
    """What people call the user: `@handle`, else the display name, else the key."""
    shown = printable(handle or "")
    if shown:
        return "@" + shown.removeprefix("@")
    return printable(display_name or "") or printable(key)


def tier_change(tier: str | None, from_tier: str | None) -> str:
    """`kol`, `kol -> top`, `out of kol`."""
    if tier is None:
        return f"out of {from_tier}"
    return tier if from_tier is None else f"{from_tier} -> {tier}"


def main_reason(event: KolEvent) -> str:
    """Why it happened: the factors that carry the score, and what moved it or the line."""
    carried = ", ".join(_strongest(event.factors, event.user))
    if event.kind == "promoted":
        moved = {"threshold": "the line moved below it", "interaction": "reactions came in"}
        return ", ".join(filter(None, (carried, moved.get(event.cause.type))))
    lost = {
        "post": "a new post lowered it",
        "observation": "newer counts lowered it",
        "interaction": "an interaction moved it",
        "threshold": "the line rose past it",
        "inactivity": "no recent posts",
    }[event.cause.type]
    return lost if event.cause.type == "inactivity" or not carried else f"{lost}, {carried}"


def _strongest(factors: Iterable[Factor], user: EventUser) -> list[str]:
    """The factors that raise the score most, strongest first; then repetition that costs."""
    raising = [f for f in factors if f.known and (f.contribution or 0.0) > 0]
    raising.sort(key=lambda factor: factor.contribution or 0.0, reverse=True)
    said = [factor_words(factor, user.follower_count) for factor in raising[:_FEW]]
    dull = next((f for f in factors if f.name == "text" and f.value < _DULL_TEXT), None)
    return said if dull is None else [*said, factor_words(dull, user.follower_count)]


def factor_words(factor: Factor, followers: int | None) -> str:
    """One factor in words: `214k followers`, `a typical post draws 7.1`."""
    value = factor.value
    if factor.name == "reach":
        # Presets differ in whether the value counts one more than the followers.
        return f"{short_count(value if followers is None else followers)} followers"
    if factor.name == "resonance":
        # The decayed geometric mean of 1 + engagement: a post that drew nothing counts as 1.
        return f"a typical post draws {_decimal(value - 1)}"
    if factor.name == "attention":
        return f"attention {_decimal(value)}"
    if factor.name == "text":
        return f"text norm {short_count(value)}" if value > 1 else f"originality {value:.2f}"
    return f"{factor.name} {_decimal(value)}"


def _decimal(value: float) -> str:
    return f"{value:.1f}" if value < 99.95 else short_count(value)


def event_line(event: KolEvent, width: int | None = None) -> str:
    """One KOL event in one line, cut to `width` columns where one is given.

    In a narrow one the reason stands before the numbers, and the year is left out.
    """
    name = user_name(event.user.key, event.user.handle, event.user.display_name)
    change = tier_change(event.tier, event.from_tier)
    head = (fitted(event.kind, 8), fitted(name, NAME_CELLS), fitted(change, 10))
    numbers = (
        f"score {score_text(event.score)} / line {score_text(event.threshold)}",
        f"percentile {percentile_text(event.percentile)}",
    )
    time = minute_text(event.occurred_at)
    if width is None or width >= _WIDE:
        line = _GAP.join((time, *head, fitted(numbers[0], 28), numbers[1], main_reason(event)))
    else:
        line = _GAP.join((time[len("2014-") :], *head, main_reason(event), *numbers))
    return line if width is None else _cut(line, width)
