"""The preset `article` in a real worker with the bundled GPT-2, against the batch method."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from stream_app.embedded import EmbeddedBroker
from stream_app.engine.topics import topic_table
from stream_app.messages import Post
from tests.article_agreement import SETTINGS, check_agreement, send_as_replay_does
from tests.article_posts import one_text_each, several_texts_each
from tests.builders import make_post
from tests.kafka.workers import KOL_WORKER, Workers

#: 0.9 (n - 1) is no whole number, for these and one more: else the line is a user's own score
USERS = 155


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    with (
        EmbeddedBroker() as broker,
        closing(Workers(broker.bootstrap, "", tmp_path, partitions=2, **SETTINGS)) as made,
    ):
        for spec in topic_table(made.settings):
            broker.create_topic(spec.name, spec.partitions or 1)
        yield made


@pytest.mark.parametrize("make", [one_text_each, several_texts_each])
def test_the_streaming_article_agrees_with_the_batch_method(
    workers: Workers, make: Callable[[int], list[Post]]
) -> None:
    posts = make(USERS)
    worker = workers.start("only", command=KOL_WORKER)
    send_as_replay_does(workers, posts)
    check_agreement(workers, worker, posts)


def test_where_nobody_has_followers_the_line_is_zero_and_everybody_is_a_kol(
    workers: Workers,
) -> None:
    worker = workers.start("only", command=KOL_WORKER)
    posts = [make_post(user_id=f"u{number}", text=f"text {number}") for number in range(USERS)]
    send_as_replay_does(workers, posts)
    workers.wait_until_scored(worker)
    (tier,) = worker.json("/api/v1/threshold")["tiers"]
    assert (tier["enter"], tier["leave"]) == (0.0, 0.0)
    kols = worker.kols()
    assert {item["user"]["key"] for item in kols} == {post.key for post in posts}
    assert {item["score"] for item in kols} == {0.0}
