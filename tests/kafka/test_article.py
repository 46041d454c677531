"""The preset `article` over two workers, with the bundled GPT-2, against the batch method."""

from __future__ import annotations

from collections.abc import Callable

from tests.article_agreement import SETTINGS, check_agreement, send_as_replay_does
from tests.article_posts import several_texts_each
from tests.kafka.clients import wait_for
from tests.kafka.test_two_workers import answers, share
from tests.kafka.workers import KOL_WORKER, Workers

USERS = 305


def test_two_workers_agree_with_the_articles_batch_method(workers: Callable[..., Workers]) -> None:
    posts = several_texts_each(USERS)
    system = workers(**SETTINGS)
    first, second = (system.make(name, command=KOL_WORKER) for name in ("first", "second"))
    for worker in (first.launch(), second.launch()):
        worker.wait_ready()
    wait_for(lambda: share(first, second), "the partitions to be shared")
    send_as_replay_does(system, posts)
    check_agreement(system, first, posts)
    system.wait_until_scored(second)
    wait_for(lambda: answers(first) == answers(second), "both to say the same")
