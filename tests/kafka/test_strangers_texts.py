"""What strangers write, from the topic to the screen: never run, never logged, never a command.

Through a worker, its API, its dashboard in a browser, and the commands in a terminal.
"""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.browser import opened
from tests.kafka.clients import Record, produce, wait_for
from tests.kafka.worker import Worker
from tests.kafka.workers import Workers

ATTACK = "window.attacked=(window.attacked||0)+1"
SCRIPT = f"<script>{ATTACK}</script>"
IMAGE = f'"><img src=x onerror="{ATTACK}">'
LINK = f"javascript:{ATTACK}"
TEXT = f"text-Wv8k {SCRIPT}{IMAGE}"
#: Clears the screen, sets the title, turns the reading direction, and the same as one character.
ESCAPES = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\r"
START = 1_700_000_000_000
#: As many bytes of a command's output as could matter.
SOME = 1 << 20


def post(user_id: str, number: int, **fields: Any) -> Record:
    content = {
        "id": f"{user_id}-{number}",
        "platform": "x",
        "user_id": user_id,
        "text": TEXT,
        "created_at": START + number,
        "like_count": 10 * number,
    } | fields
    return Record(value=json.dumps(content).encode())


def hostile() -> list[Record]:
    """A user whose every field is an attack on a page, and one on a terminal."""
    page = {"handle": SCRIPT, "display_name": IMAGE, "topics": [SCRIPT], "lang": "<b>"}
    terminal = {"handle": f"a{ESCAPES}b", "display_name": ESCAPES}
    return [
        post(f"{IMAGE}{SCRIPT}", 90, id=f"p1{IMAGE}", url=LINK, **page),
        post(f"{IMAGE}{SCRIPT}", 91, id=f"p2{SCRIPT}", url=f" {LINK}", **page),
        post(f"{IMAGE}{SCRIPT}", 92, id="p3", url=f'https://example.org/"{IMAGE}', **page),
        post("terminal", 80, id=f"t{ESCAPES}", url=f"https://example.org/{ESCAPES}", **terminal),
        post("terminal", 81, id=f"u{ESCAPES}", **terminal),
        *(post(f"u{number}", number) for number in range(8)),
        post("bad", 1, like_count="many"),
        Record(value=b'{"text": "' + TEXT.replace('"', "'").encode()),
    ]


def test_what_strangers_write_is_shown_as_it_is_and_does_nothing(
    workers: Callable[..., Workers],
) -> None:
    system = workers(min_population=4, tiers="kol=0.5", log_level="debug")
    worker = system.start("only")
    produce(system.broker, system.names.posts, hostile())
    system.wait_until_scored(worker)
    assert_answers_are_no_pages(worker)
    asyncio.run(assert_page_is_unharmed(worker))
    assert_terminal_is_unharmed(worker)
    wait_for(lambda: worker.counter("kol_dead_letters_total") == 2, "the dead letters")
    assert "text-Wv8k" not in worker.log_path.read_text(errors="replace")


def assert_answers_are_no_pages(worker: Worker) -> None:
    key = quote(f"x:{IMAGE}{SCRIPT}", safe="")
    for path in (f"/api/v1/users/{key}", f"/api/v1/users/{key}nobody", f"/{SCRIPT}"):
        headers, body = answer(worker, quote(path, safe="/%:"))
        assert headers["Content-Type"].endswith("json")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert b"text-Wv8k" not in body


def answer(worker: Worker, path: str) -> tuple[HTTPMessage, bytes]:
    with closing(HTTPConnection("127.0.0.1", worker.port, timeout=30)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.headers, response.read()


async def assert_page_is_unharmed(worker: Worker) -> None:
    async with opened(f"http://127.0.0.1:{worker.port}/") as page:
        await page.wait_for("document.querySelectorAll('#rows tr').length >= 10")
        await page.wait_for("document.querySelectorAll('#feed li').length >= 2")
        rows = await page.run("document.querySelector('#rows').textContent")
        assert IMAGE in rows
        # The user herself, from the ranking, the events and the search.
        await page.run("document.querySelector('#rows tr').click()")
        await page.wait_for("document.querySelector('#user-in h4')")
        shown = await page.run("document.querySelector('#user-in').textContent")
        assert IMAGE in shown
        assert f"p1{IMAGE}" in shown
        links = await page.run("[...document.querySelectorAll('#user-in a')].map(a => a.href)")
        assert len(links) == 1, "of the three addresses one is of the web"
        assert links[0].startswith("https://example.org/")
        await page.run(
            f"document.querySelector('#key').value = {json.dumps(IMAGE)},"
            " document.querySelector('#find').requestSubmit()"
        )
        await page.wait_for("document.querySelector('#user-in .wrong')")
        strange = "document.querySelectorAll('img, script').length"
        assert await page.run(strange) == 1, "the page has one script of its own"
        assert await page.run("window.attacked") is None
        # A script that did get in would be refused by the page's policy.
        await page.run(
            "document.body.append(Object.assign(document.createElement('script'),"
            f" {{textContent: {json.dumps(ATTACK)}}}))"
        )
        assert await page.run("window.attacked") is None
        refused = [e for e in page.events if "Content Security Policy" in json.dumps(e)]
        assert refused, "the policy is what refused it"


def assert_terminal_is_unharmed(worker: Worker) -> None:
    """Of the control characters that reach the terminal none comes from a stranger."""
    for command in (
        ["rankings"],
        ["rankings", "--json"],
        ["user", "x:terminal"],
        ["user", "x:terminal", "--json"],
        ["watch", "--from-beginning"],
        ["watch", "--from-beginning", "--json"],
        ["dlq"],
        ["dlq", "--json"],
    ):
        said = in_a_terminal(worker, *command)
        assert said, command
        for sign in ("\x1b[2J", "\x1b]0;", "\x07", "\x9b", "\u202e", "text-Wv8k"):
            assert sign not in said, (command, sign)


def in_a_terminal(worker: Worker, *arguments: str) -> str:
    """What a command writes to a terminal; one that goes on is ended when it has said something."""
    outer, inner = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "stream_app", *arguments],
        env=worker.environment | {"TERM": "xterm-256color", "COLUMNS": "200"},
        cwd=Path(worker.log_path).parent,
        stdin=subprocess.DEVNULL,
        stdout=inner,
        stderr=subprocess.DEVNULL,
    ) as process:
        os.close(inner)
        said = b""
        with suppress(OSError):  # the terminal has no other end any more
            while part := os.read(outer, SOME):
                said += part
                if arguments[0] == "watch" and b"owned" in said:
                    process.kill()
    os.close(outer)
    return said.decode(errors="replace")
