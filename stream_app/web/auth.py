"""The bearer token (RFC 6750): everything needs it but health and the page that asks for it."""

import hmac

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from stream_app.web.problems import ProblemError

_CHALLENGE = 'Bearer realm="kol-stream"'


def bearer(token: str) -> dict[str, str]:
    """The header that carries the token."""
    return {"Authorization": f"Bearer {token}"}


def token_middleware(token: str, public: frozenset[str]) -> Middleware:
    """Answer 401 to requests without the token, except for `public` paths."""
    expected = token.encode()

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in public:
            _check(request.headers.get("Authorization"), expected)
        return await handler(request)

    return check


def _check(header: str | None, expected: bytes) -> None:
    if header is None:
        raise ProblemError(
            401,
            "a token is needed: send the header 'Authorization: Bearer <KOL_WEB_TOKEN>'",
            {"WWW-Authenticate": _CHALLENGE},
        )
    scheme, _, given = header.partition(" ")
    # Compared in constant time, so that the time taken tells nothing of the token.
    same = hmac.compare_digest(given.strip().encode(errors="surrogateescape"), expected)
    if scheme.lower() != "bearer" or not same:
        raise ProblemError(
            401,
            "the token in the Authorization header is not this system's",
            {"WWW-Authenticate": f'{_CHALLENGE}, error="invalid_token"'},
        )
