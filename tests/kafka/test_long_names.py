"""Names as long as they may be stop nothing and are shown in full."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.kafka.clients import Record, produce, wait_for
from tests.kafka.workers import Workers
from tests.stream_of_events import START

USERS = 300
NAME = "\U0001f600" * 2_048


def test_many_users_of_the_longest_names_are_all_in_the_ranking(
    workers: Callable[..., Workers],
) -> None:
    """Together 5 MB of names in one partition, of which a record takes one."""
    system = workers(partitions=1)
    worker = system.start("only")
    records = []
    for number in range(USERS):
        content = {
            "id": "p",
            "platform": "x",
            "user_id": f"u{number}",
            "text": f"Text {number}.",
            "created_at": START + number,
            "like_count": number,
            "handle": NAME,
            "display_name": NAME,
        }
        value = json.dumps(content, ensure_ascii=False).encode()
        records.append(Record(key=f"x:u{number}".encode(), value=value))
    produce(system.broker, system.names.posts, records)
    system.wait_until_scored(worker)

    def ranked() -> list[str]:
        items = worker.json("/api/v1/rankings?limit=500")["items"]
        assert all(item["user"]["display_name"] == NAME for item in items)
        return [item["user"]["user_id"] for item in items]

    due = [f"u{number}" for number in reversed(range(USERS))]
    wait_for(lambda: ranked() == due, "all of them to be ranked")
    worker.kill()
    worker.start()
    wait_for(lambda: ranked() == due, "all of them to be ranked after a restart")
