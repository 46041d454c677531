"""What never changes while the worker runs: the page at / and the OpenAPI description."""

import base64
import hashlib
import re
from dataclasses import dataclass
from importlib import resources

from aiohttp import web

_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


@dataclass(frozen=True)
class Documents:
    """Both, ready to send."""

    page: str
    #: Content-Security-Policy of the page
    policy: str
    openapi: bytes


DOCUMENTS = web.AppKey("documents", Documents)


def read_page() -> str:
    """The page as it is shipped in the package."""
    return resources.files("stream_app.web").joinpath("dashboard.html").read_text("utf-8")


def content_policy(page: str) -> str:
    """A policy under which the page's own script and style run and nothing else is loaded."""
    hashes: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in _INLINE.findall(page):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        hashes[kind].append(f"'sha256-{digest}'")
    return "; ".join(
        (
            "default-src 'none'",
            "script-src " + " ".join(hashes["script"]),
            "style-src " + " ".join(hashes["style"]),
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


async def get_dashboard(request: web.Request) -> web.Response:
    documents = request.app[DOCUMENTS]
    return web.Response(
        text=documents.page,
        content_type="text/html",
        headers={"Content-Security-Policy": documents.policy},
    )


async def get_openapi(request: web.Request) -> web.Response:
    return web.Response(body=request.app[DOCUMENTS].openapi, content_type="application/json")
