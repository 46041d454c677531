"""A port for the demo's dashboard."""

from __future__ import annotations

import socket

from stream_app.errors import UsageError


def free_port(host: str, wanted: int, *, or_any: bool) -> int:
    """`wanted` if nobody listens there, or else any free port if `or_any`.

    Raises:
        UsageError: it is taken, and no other would do.
    """
    if _can_listen(host, wanted):
        return wanted if wanted != 0 else _any_free_port(host)
    if not or_any:
        raise UsageError(f"port {wanted} on {host} is taken; choose another with --port")
    return _any_free_port(host)


def _can_listen(host: str, port: int) -> bool:
    try:
        with _listening(host, port):
            return True
    except OSError:
        return False


def _any_free_port(host: str) -> int:
    try:
        with _listening(host, 0) as taken:
            return int(taken.getsockname()[1])
    except OSError as error:
        raise UsageError(f"cannot listen on {host}: {error.strerror}; see KOL_WEB_BIND") from error


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host.strip("[]"), port), family=family)
