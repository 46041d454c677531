import pytest

from stream_app.messages import BadInput
from stream_app.messages.fields import MAX_TOPICS
from stream_app.sources import Event, in_event_time_order
from stream_app.sources.events import checked_interaction, checked_post, fitting_topics
from tests.builders import NOON, make_interaction, make_post


def test_posts_read_at_one_moment_come_oldest_first() -> None:
    crawled = [make_post(id=str(n), created_at=NOON - n, observed_at=NOON) for n in range(3)]
    assert in_event_time_order(crawled) == crawled[::-1]


def test_interactions_and_posts_are_merged_by_event_time() -> None:
    liked = make_interaction(created_at=NOON + 2)
    first, last = make_post(), make_post(id="p2", created_at=NOON + 1, observed_at=NOON + 3)
    mixed: list[Event] = [last, liked, first]
    assert in_event_time_order(mixed) == [first, liked, last]


def test_what_is_equal_in_both_times_keeps_its_order() -> None:
    twins: list[Event] = [make_post(id="z"), make_interaction(created_at=NOON), make_post(id="a")]
    assert in_event_time_order(twins) == twins


def test_events_that_break_the_contract_are_refused() -> None:
    with pytest.raises(BadInput, match="like_count"):
        checked_post(make_post(like_count=-1))
    with pytest.raises(BadInput, match="actor_id"):
        checked_interaction(make_interaction(actor_id=""))
    good = make_interaction()
    assert checked_interaction(good) is good


def test_topics_that_do_not_fit_are_left_out_and_each_stands_once() -> None:
    names = ["a", "", "x" * 129, "a", *(f"t{n}" for n in range(MAX_TOPICS))]
    assert fitting_topics(names) == ("a", *(f"t{n}" for n in range(MAX_TOPICS - 1)))
