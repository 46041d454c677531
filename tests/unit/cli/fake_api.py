"""A worker's web API that answers what it is told to."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USER = {
    "key": "twitter:1",
    "platform": "twitter",
    "user_id": "1",
    "handle": "one",
    "display_name": "The [bold]One",
    "follower_count": 214_000,
}
FACTORS = [
    {"name": "reach", "value": 214_001.0, "exponent": 0.3, "contribution": 3.682, "known": True},
    {"name": "text", "value": 1.0, "exponent": 0.1, "contribution": 0.0, "known": False},
]
TIER = {"name": "kol", "quantile": 0.9, "enter": 12.0, "leave": 11.5, "members": 7}
RANKINGS = {
    "as_of": "2014-07-31T23:59:00.000Z",
    "threshold_version": 9,
    "population": 1_801,
    "tiers": [TIER],
    "items": [
        {
            "position": 1,
            "user": USER,
            "score": 51.234,
            "percentile": 100.0,
            "tier": "kol",
            "factors": FACTORS,
            "posts": 12,
            "last_post_at": "2014-07-30T10:00:00.000Z",
        }
    ],
}
THRESHOLD = {
    "version": 9,
    "as_of": "2014-07-31T23:59:00.000Z",
    "population": 1_801,
    "tiers": [{k: v for k, v in TIER.items() if k != "members"} | {"rank_error": 0.0004}],
    "cut": {"posts": {"0": 10}},
}
ONE_USER = {
    "as_of": "2014-07-31T23:59:00.000Z",
    "user": USER,
    "score": 51.234,
    "percentile": 100.0,
    "tier": {"name": "kol", "since": "2014-07-20T10:00:00.000Z"},
    "factors": FACTORS,
    "raw": {"posts": 12, "like": 3, "reply": 0, "interactions": {"follow": 2, "like": 0}},
    "decayed": {"attention": 30.1, "posts": 8.2, "log_engagement": 1.3},
    "recent_posts": [
        {
            "id": "p1",
            "created_at": "2014-07-30T10:00:00.000Z",
            "url": None,
            "counts": {"like": 3, "reply": None},
        }
    ],
    "embedding": {"dimensions": 64, "norm": 3.1},
    "eligible": True,
}


class FakeApi:
    """What it answers, and what it was asked.

    Attributes:
        answers: path without query -> (status, JSON).
        asked: (path with query, Authorization header) of every request.
        url: its address.
    """

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {
            "/api/v1/rankings": (200, RANKINGS),
            "/api/v1/threshold": (200, THRESHOLD),
            "/api/v1/users/twitter%3A1": (200, ONE_USER),
            "/readyz": (200, {"status": "ready"}),
        }
        self.asked: list[tuple[str, str | None]] = []
        self.url = ""


@contextmanager
def fake_api() -> Iterator[FakeApi]:
    api = FakeApi()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            api.asked.append((self.path, self.headers["Authorization"]))
            missing = (404, {"title": "Not Found", "detail": "no such user: " + self.path})
            status, answer = api.answers.get(self.path.partition("?")[0], missing)
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Tests read what commands print, not this."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        api.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield api
        server.shutdown()
        thread.join()
