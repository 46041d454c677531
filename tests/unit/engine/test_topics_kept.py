"""A running worker notices that a topic is not the one it started with."""

from __future__ import annotations

import pytest

from stream_app.engine.topics_kept import TopicsKept
from stream_app.errors import StateError, TopicsError
from stream_app.settings import load_settings

SAME: dict[str, tuple[str, int] | None] = {
    "posts": ("a", 4),
    "interactions": ("b", 4),
    "kol-thresholds": ("c", 4),
    "kol-snapshots": ("d", 1),
    "kol-users-changelog": ("e", 4),
}


def kept() -> TopicsKept:
    topics = TopicsKept(load_settings(partitions=4))
    topics.ids = {name: state[0] for name, state in SAME.items() if state is not None}
    return topics


def test_topics_that_stay_what_they_are_are_no_news() -> None:
    topics = kept()
    topics.compare(SAME, 0.0)
    topics.compare({}, 1.0)  # a broker that does not tell of topics, or not of ids
    topics.compare(SAME | {"posts": ("", 4)}, 2.0)


@pytest.mark.parametrize("topic", ["posts", "interactions", "kol-thresholds", "kol-snapshots"])
def test_a_topic_made_anew_under_a_running_worker_is_refused(topic: str) -> None:
    count = 1 if topic == "kol-snapshots" else 4
    with pytest.raises(StateError, match=f"{topic} was deleted and made again.*kol rebuild"):
        kept().compare(SAME | {topic: ("new", count)}, 0.0)


def test_a_changelog_made_anew_is_refused_for_its_rows_are_gone() -> None:
    with pytest.raises(StateError, match=r"rows that it held are gone.*kol rebuild"):
        kept().compare(SAME | {"kol-users-changelog": ("new", 4)}, 0.0)


def test_a_topic_is_gone_when_no_broker_knows_it_for_a_while() -> None:
    topics = kept()
    topics.compare(SAME | {"posts": None}, 10.0)
    topics.compare(SAME, 12.0)
    topics.compare(SAME | {"posts": None}, 20.0)
    topics.compare(SAME | {"posts": None}, 24.9)
    with pytest.raises(StateError, match="posts was deleted under this running worker"):
        topics.compare(SAME | {"posts": None}, 25.0)


def test_more_partitions_are_refused_with_the_way_to_go_on() -> None:
    with pytest.raises(TopicsError) as error:
        kept().compare(SAME | {"posts": ("a", 6)}, 0.0)
    line = str(error.value)
    assert "posts has 6 partitions now" in line
    assert "give interactions, kol-events, kol-thresholds 6 too" in line
    assert "KOL_PARTITIONS=6" in line
    assert "kol rebuild" in line
