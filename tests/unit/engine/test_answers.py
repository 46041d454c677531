"""What a worker tells the web, and what it knows it cannot tell."""

from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from stream_app.core.row import encode_row
from stream_app.engine.answers import Answers
from stream_app.engine.board_reader import BoardReader
from stream_app.engine.ends import Ends
from stream_app.engine.event_feed import EventFeed
from stream_app.engine.internal_records import PartitionMeta
from stream_app.engine.metrics import Metrics
from stream_app.engine.partition import Partition
from stream_app.messages import partition_of
from tests.builders import NOON, make_post
from tests.histories import row_after
from tests.schemes import make_scheme

PARTITIONS = 4
KEY = "twitter:u1"
OWN = partition_of(KEY.encode(), PARTITIONS)
CHANGELOG = "kol-users-changelog"


class Scene:
    """A worker that owns the partition of `KEY` alone, and its parts to be changed."""

    def __init__(self) -> None:
        scheme = make_scheme()
        self.boards = BoardReader({}, "kol-rankings", "kol", scheme.formula)
        self.feed = EventFeed({}, "kol-events", PARTITIONS, app_id="kol")
        self.assignor = SimpleNamespace(
            _tps_url={TP(CHANGELOG, n): f"http://w{n % 2}:1" for n in range(PARTITIONS)},
            changelog_distribution={"http://w0:1": {}, "http://w1:1": {}},
        )
        self.app = SimpleNamespace(
            should_stop=False,
            started=True,
            rebalancing=False,
            in_recovery=False,
            tables=SimpleNamespace(actives_ready=True),
            assignor=self.assignor,
            conf=SimpleNamespace(canonical_url=f"http://w{OWN % 2}:1"),
            consumer=SimpleNamespace(
                known_end=lambda tp: self.fetched.get(tp.topic, (None, None))[0],
                highwater=lambda tp: self.fetched.get(tp.topic, (None, None))[1],
            ),
        )
        #: topic -> the end of its records, and of all that is there, as of the last fetch
        self.fetched: dict[str, tuple[int | None, int | None]] = {}
        self.ends = Ends({"bootstrap.servers": "127.0.0.1:1"}, lambda: [])
        row = row_after([make_post(text="")], scheme)
        self.rows = {KEY.encode(): encode_row(row, 0.0, scheme.formula)}
        self.partitions = {OWN: Partition(OWN, PartitionMeta(), scheme)}
        table: Any = SimpleNamespace(
            changelog_topic_name=CHANGELOG, read=lambda _number, key: self.rows.get(key)
        )
        watch: Any = SimpleNamespace(reason=None)
        self.answers = Answers(
            app=self.app,
            watch=watch,
            scheme=scheme,
            table=table,
            partitions=self.partitions,
            partition_count=PARTITIONS,
            boards=self.boards,
            feed=self.feed,
            ends=self.ends,
            metrics=Metrics(),
            source_topics=("posts", "interactions"),
        )


@pytest.fixture
def scene() -> Scene:
    made = Scene()
    made.boards._tail.caught_up.set()
    made.feed._tail.caught_up.set()
    return made


def test_a_worker_is_ready_once_it_can_answer_everything(scene: Scene) -> None:
    assert scene.answers.not_ready() is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"should_stop": True}, "stopping"),
        ({"started": False}, "starting"),
        ({"rebalancing": True}, "rebalancing"),
        ({"in_recovery": True}, "recovering"),
        ({"tables": SimpleNamespace(actives_ready=False)}, "recovering"),
    ],
)
def test_the_reason_is_told(scene: Scene, changes: dict[str, Any], reason: str) -> None:
    vars(scene.app).update(changes)
    assert reason in (scene.answers.not_ready() or "")


def test_what_happened_before_the_start_is_read_before_it_is_ready(scene: Scene) -> None:
    scene.feed._tail.caught_up.clear()
    assert scene.answers.not_ready() == "reading the events of before"
    scene.boards._tail.caught_up.clear()
    assert scene.answers.not_ready() == "reading the ranking"


def test_a_row_is_told_of_owned_users_and_not_denied_of_others(scene: Scene) -> None:
    found = scene.answers.user_row(KEY)
    assert found is not None
    assert (found[0].key, found[1]) == (KEY, True)
    scene.rows.clear()
    assert scene.answers.user_row(KEY) is None
    scene.partitions.clear()
    with pytest.raises(LookupError):
        scene.answers.user_row(KEY)


def test_the_owner_is_found_by_the_partition_of_the_key(scene: Scene) -> None:
    assert scene.answers.owner_url(KEY) is None
    assert scene.answers.owned() == [OWN]
    other = next(
        key
        for key in (f"twitter:u{n}" for n in range(100))
        if partition_of(key.encode(), PARTITIONS) != OWN
    )
    number = partition_of(other.encode(), PARTITIONS)
    assert scene.answers.owner_url(other) == f"http://w{number % 2}:1"
    scene.assignor._tps_url.clear()
    with pytest.raises(LookupError):
        scene.answers.owner_url(other)


def test_all_workers_but_this_one_are_its_peers(scene: Scene) -> None:
    assert scene.answers.peers() == [f"http://w{1 - OWN % 2}:1"]


def test_before_there_is_a_ranking_the_high_mark_is_that_of_the_own_users(scene: Scene) -> None:
    assert scene.answers.high_mark() is None
    scene.partitions[OWN].meta.high_marks.update(posts=NOON, interactions=NOON + 5)
    assert scene.answers.high_mark() == NOON + 5


@pytest.mark.parametrize(
    ("fetched", "asked", "lag"),
    [
        ((None, None), None, 0),
        ((None, None), 12, 12),
        ((10, 10), None, 10),
        ((10, 10), 25, 25),  # paused since: the fetch is long ago
        ((10, 10), 7, 10),  # a fetch since the question
        ((9, 10), 10, 9),  # the last is a transaction's marker
    ],
)
def test_the_lag_is_up_to_what_kafka_holds_also_while_nothing_is_fetched(
    scene: Scene, fetched: tuple[int | None, int | None], asked: int | None, lag: int
) -> None:
    scene.fetched["posts"] = fetched
    if asked is not None:
        scene.ends._ends["posts", OWN] = asked
    shown = scene.answers.metrics().decode()
    assert f'kol_lag{{partition="{OWN}",topic="posts"}} {float(lag)}' in shown
