"""Asking other workers, on internal paths that answer for their own users alone.

An internal path never asks on, so a question can go no further than one worker, whatever they
believe of each other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from urllib.parse import quote

import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout, web
from yarl import URL

from stream_app.core.standing import Standing
from stream_app.web.auth import bearer
from stream_app.web.problems import ProblemError, unavailable

logger = logging.getLogger(__name__)

USER_PATH = "/internal/v1/users/"
MEMBERS_PATH = "/internal/v1/members"

#: About as long as a person waits; a worker that takes longer is stuck.
TIMEOUT = ClientTimeout(total=3.0, sock_connect=1.0)


class OwnMembers(msgspec.Struct, array_like=True, frozen=True):
    """Members of a tier from one worker, in ranking order, and whose users it looked through."""

    partitions: list[int]
    members: list[Standing]


_decode_members = msgspec.msgpack.Decoder(OwnMembers).decode
# msgpack, for scores of 0 have z = -inf, which JSON cannot say.
encode_members = msgspec.msgpack.Encoder().encode


class NotOwnerError(Exception):
    """The worker asked says that the user is not among its own: the partitions have just moved."""


class Peers:
    """The other workers, over one client session."""

    def __init__(self, session: ClientSession) -> None:
        self._session = session

    async def user(self, base_url: str, key: str) -> bytes:
        """The JSON about a user from the worker that owns her.

        Raises:
            NotOwnerError: that worker does not own her (any more).
            ProblemError: 404 for an unknown user, 502 or 503 where there is no good answer.
        """
        status, body = await self._get(base_url, USER_PATH + quote(key, safe=""), {})
        if status == 404:
            raise ProblemError(404, "no such user is known")
        if status == 421:
            raise NotOwnerError
        _require_ok(base_url, status)
        return body

    async def members(self, base_urls: list[str], query: Mapping[str, str]) -> list[OwnMembers]:
        """Each worker's own members of a tier; 502 or 503 if one does not answer."""
        return await asyncio.gather(*(self._members(url, query) for url in base_urls))

    async def _members(self, base_url: str, query: Mapping[str, str]) -> OwnMembers:
        status, body = await self._get(base_url, MEMBERS_PATH, query)
        _require_ok(base_url, status)
        try:
            return _decode_members(body)
        except msgspec.MsgspecError as error:
            logger.warning("unreadable answer of a worker url=%s error=%s", base_url, error)
            raise ProblemError(502, "another worker gave an answer that cannot be read") from error

    async def _get(self, base_url: str, path: str, query: Mapping[str, str]) -> tuple[int, bytes]:
        # The path is percent-encoded already; yarl would otherwise decode %2F and the like again.
        try:
            url = URL(base_url.rstrip("/") + path, encoded=True).with_query(dict(query))
            async with self._session.get(url, allow_redirects=False) as response:
                return response.status, await response.read()
        except (ClientError, TimeoutError, ValueError) as error:
            logger.warning("a worker does not answer url=%s error=%r", base_url, error)
            raise unavailable("another worker that is needed for this does not answer") from error


def _require_ok(base_url: str, status: int) -> None:
    if status == 200:
        return
    logger.warning("a worker refuses to answer url=%s status=%d", base_url, status)
    if status == 503:
        raise unavailable("another worker that is needed for this is not ready")
    raise ProblemError(502, f"another worker that is needed for this answered {status}")


PEERS = web.AppKey("peers", Peers)


def open_peers(token: str | None) -> Callable[[web.Application], AsyncIterator[None]]:
    """What keeps a client session open while the application runs."""

    async def opened(app: web.Application) -> AsyncIterator[None]:
        headers = {} if token is None else bearer(token)
        async with ClientSession(timeout=TIMEOUT, headers=headers) as session:
            app[PEERS] = Peers(session)
            yield

    return opened
