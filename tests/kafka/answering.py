"""What a test asks of a worker over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from stream_app.web.auth import bearer

HTTP_TIMEOUT_S = 10.0


class Answering:
    """The web side of a worker on this machine."""

    def __init__(self, port: int, token: str | None) -> None:
        self.port = port
        self._token = token

    @property
    def headers(self) -> dict[str, str]:
        """Of a request that this worker lets in."""
        return {} if self._token is None else bearer(self._token)

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body."""
        return self.get_with(path, self._token)

    def get_with(self, path: str, token: str | None) -> tuple[int, bytes]:
        """`get` with another token than the worker's own, or with none."""
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=HTTP_TIMEOUT_S)) as connection:
            return _get(connection, path, token)

    def json(self, path: str) -> Any:
        """The answer's body; fails when the status is not 200."""
        status, body = self.get(path)
        assert status == 200, f"{path}: {status} {body!r}"
        return json.loads(body)

    def users(self, keys: Iterable[str]) -> dict[str, Any]:
        """`GET /api/v1/users/{key}` of each, over one connection; None for 404."""
        found: dict[str, Any] = {}
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=HTTP_TIMEOUT_S)) as connection:
            for key in keys:
                status, body = _get(connection, f"/api/v1/users/{quote(key, safe='')}", self._token)
                assert status in (200, 404), f"{key}: {status} {body!r}"
                found[key] = json.loads(body) if status == 200 else None
        return found

    def kols(self) -> list[Any]:
        """All members of the lowest tier or a higher one, page by page."""
        items: list[Any] = []
        cursor = ""
        while True:
            page = self.json(f"/api/v1/kols?limit=500{cursor}")
            items += page["items"]
            if page["next"] is None:
                return items
            cursor = f"&cursor={quote(page['next'], safe='')}"

    def counter(self, name: str, **labels: str) -> float:
        """A metric of this life summed over the labels not given; 0 where there is none yet."""
        return sum(
            sample.value
            for sample in self._samples(name)
            if labels.items() <= sample.labels.items()
        )

    def counters(self, *names: str) -> dict[str, float]:
        """Metrics as of one moment, each summed over its labels."""
        found = dict.fromkeys(names, 0.0)
        for sample in _parsed(self.get("/metrics")[1]):
            if sample.name in found:
                found[sample.name] += sample.value
        return found

    def owned(self) -> set[str]:
        """The numbers of the partitions that it owns."""
        return {sample.labels["partition"] for sample in self._samples("kol_lag")}

    def _samples(self, name: str) -> list[Sample]:
        return [s for s in _parsed(self.get("/metrics")[1]) if s.name == name]


def _get(connection: HTTPConnection, path: str, token: str | None) -> tuple[int, bytes]:
    connection.request("GET", path, headers={} if token is None else bearer(token))
    response = connection.getresponse()
    return response.status, response.read()


def _parsed(metrics: bytes) -> Iterator[Sample]:
    for family in text_string_to_metric_families(metrics.decode()):
        yield from family.samples
