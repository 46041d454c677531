"""What the parts of a worker are told: at which address it is reached by others."""

from __future__ import annotations

import secrets
import socket

import pytest

from stream_app.parts import web_url
from stream_app.settings import load_settings


@pytest.mark.parametrize(
    ("bind", "advertise", "url"),
    [
        ("127.0.0.1", None, "http://127.0.0.1:7000"),
        ("10.1.2.3", None, "http://10.1.2.3:7000"),
        ("fd00::7", None, "http://[fd00::7]:7000"),
        ("0.0.0.0", None, "http://replica-2:7000"),  # noqa: S104 - not bound
        ("::", None, "http://replica-2:7000"),
        ("0.0.0.0", "worker.example:80", "http://worker.example:80"),  # noqa: S104 - not bound
    ],
)
def test_others_reach_a_worker_where_it_listens_or_by_the_name_of_its_machine(
    bind: str, advertise: str | None, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "replica-2")
    token = secrets.token_hex()
    settings = load_settings(web_bind=bind, web_port=7000, web_advertise=advertise, web_token=token)
    assert web_url(settings) == url
