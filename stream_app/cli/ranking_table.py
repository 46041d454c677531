"""The ranking as a table, and the line of a tier in words, from the answer of /api/v1/rankings."""

from __future__ import annotations

from typing import Any

from stream_app.cli.wording import (
    fitted,
    minute_text,
    percentile_text,
    plural,
    score_text,
    short_count,
    user_name,
)

RANKING_COLUMNS = ("#", "user", "score", "percentile", "tier", "followers", "posts", "last post")
NUMBERS = ("#", "score", "percentile", "followers", "posts")


def ranking_row(item: dict[str, Any]) -> tuple[str, ...]:
    """One item of the ranking in words."""
    user = item["user"]
    followers = user.get("follower_count")
    name = user_name(user["key"], user.get("handle"), user.get("display_name"))
    return (
        str(item["position"]),
        fitted(name, 28).rstrip(),
        score_text(item["score"]),
        percentile_text(item["percentile"]),
        item["tier"] or "-",
        "?" if followers is None else short_count(followers),
        f"{item['posts']:,}",
        minute_text(item["last_post_at"]),
    )


def tier_line(tier: dict[str, Any]) -> str:
    """One tier's line and members in words."""
    name, quantile = tier["name"], tier["quantile"]
    if tier["enter"] is None:
        return f"{name}: no line yet (quantile {quantile:g}; too few eligible users)"
    entered, left = score_text(tier["enter"]), score_text(tier["leave"])
    members = plural(tier["members"], "member")
    return f"{name}: {members}, line at {entered}, left below {left} (quantile {quantile:g})"
