"""Asks a worker's web API and says in one line what went wrong."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from stream_app.errors import KolError, UsageError

if TYPE_CHECKING:
    from stream_app.settings import Settings

TIMEOUT_S = 10.0
_UNSPECIFIED = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "[::]": "[::1]"}  # noqa: S104 - read, not bound


class NotReachable(KolError):
    """Nobody answers at that address."""


class Refused(KolError):
    """The worker answered with an error.

    Attributes:
        status: the HTTP status.
    """

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status


class WebClient:
    """One worker's web API."""

    def __init__(self, settings: Settings, url: str | None = None) -> None:
        self.base = (url or web_address(settings)).rstrip("/")
        if not self.base.startswith(("http://", "https://")):
            raise UsageError(f"--url {self.base}: an address like http://127.0.0.1:6066 is needed")
        if "@" in self.base:  # which ps would show, and so would errors
            raise UsageError("--url takes no name and password; a token goes into KOL_WEB_TOKEN")
        self._token = None if settings.web_token is None else settings.web_token.get_secret_value()

    def get(self, path: str, *, timeout_s: float = TIMEOUT_S, **query: Any) -> Any:
        """The JSON answer to GET `path` with the query parameters that are not None.

        Raises:
            NotReachable: nobody answers.
            Refused: the answer is an error; its message is the problem's own detail.
        """
        given = {name: value for name, value in query.items() if value is not None}
        url = self.base + path + ("?" + urlencode(given) if given else "")
        request = urllib.request.Request(url)  # noqa: S310 - http and https only, see __init__
        if self._token is not None:
            request.add_header("Authorization", f"Bearer {self._token}")
        try:
            # Workers are reached directly: a proxy of the environment is for the outside.
            with _direct.open(request, timeout=timeout_s) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise Refused(error.code, _detail(error)) from error
        except (OSError, HTTPException) as error:
            raise NotReachable(
                f"no worker answers at {self.base} ({_reason(error)}); "
                "start one with `kol worker`, or name another with --url"
            ) from error
        except ValueError as error:
            raise KolError(
                f"{url} answers with something else than JSON; is it a worker?"
            ) from error

    def user(self, key: str) -> Any:
        """The user's page of the API."""
        return self.get("/api/v1/users/" + quote(key, safe=""))

    def is_ready(self) -> bool:
        """Whether /readyz says so; False while nobody answers."""
        try:
            with _direct.open(self.base + "/readyz", timeout=2.0) as answer:
                return bool(answer.status == 200)
        except (OSError, HTTPException):
            return False


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def web_address(settings: Settings) -> str:
    """Where a worker with these settings is reached from this machine."""
    host = _UNSPECIFIED.get(settings.web_bind, settings.web_bind)
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"http://{host}:{settings.web_port}"


def _detail(error: urllib.error.HTTPError) -> str:
    if error.code == 401:
        return "the worker asks for a token; set KOL_WEB_TOKEN to the worker's own"
    try:
        problem = json.load(error)
        return str(problem.get("detail") or problem["title"])
    except (ValueError, KeyError, AttributeError, OSError):
        return f"{error.url} answers {error.code} {error.reason}"


def _reason(error: Exception) -> str:
    cause = getattr(error, "reason", error)
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
