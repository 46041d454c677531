"""A reader of a worker's event stream that comes back, and a road to a worker that is watched."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from typing import Any

from tests.kafka.worker import Worker

TIMEOUT_S = 60.0


class Listener:
    """Reads events on a thread of its own, until `leave` or until the worker ends."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.last: str | None = None
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def come(self, worker: Worker) -> None:
        """Connected after the call: behind the last event seen, if there was one."""
        connection = HTTPConnection("127.0.0.1", worker.port, timeout=TIMEOUT_S)
        resumed = {} if self.last is None else {"Last-Event-ID": self.last}
        connection.request("GET", "/api/v1/events", headers={**worker.headers, **resumed})
        # The answer takes the socket over from the connection.
        self._socket = connection.sock
        response = connection.getresponse()
        assert response.status == 200, response.read()
        self._thread = threading.Thread(target=self._read, args=(response,), name="listener")
        self._thread.start()

    def _read(self, response: Any) -> None:
        with contextlib.suppress(OSError, HTTPException, ValueError), contextlib.closing(response):
            fields: dict[str, str] = {}
            for line in response:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                elif "data" in fields:
                    self._take(fields)
                    fields = {}

    def _take(self, fields: dict[str, str]) -> None:
        event = json.loads(fields["data"])
        assert (fields["id"], fields["event"]) == (event["event_id"], event["kind"])
        self.last = fields["id"]
        self.events.append(event)

    def wait_end(self) -> None:
        """The worker has ended the stream."""
        assert self._thread is not None
        self._thread.join(TIMEOUT_S)
        assert not self._thread.is_alive()
        assert self._socket is not None
        self._socket.close()

    def leave(self) -> None:
        assert self._socket is not None
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self.wait_end()

    def ids(self) -> set[str]:
        return {event["event_id"] for event in self.events}


class Road:
    """A port that leads to another, and notes the first line of each request it carries."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.carried: list[str] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                threading.Thread(target=self._lead, args=(near,), daemon=True).start()

    def _lead(self, near: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            near,
            socket.create_connection(("127.0.0.1", self._to)) as far,
        ):
            back = threading.Thread(target=self._carry, args=(far, near, False), daemon=True)
            back.start()
            self._carry(near, far, notes=True)
            back.join(TIMEOUT_S)

    def _carry(self, start: socket.socket, end: socket.socket, notes: bool) -> None:
        with contextlib.suppress(OSError):
            while data := start.recv(65_536):
                if notes:
                    self.carried.append(data.split(b"\r\n", 1)[0].decode())
                end.sendall(data)
        # What one side has ended is over for the other too.
        for side in (start, end):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listening.close()


@contextlib.contextmanager
def listening() -> Iterator[Listener]:
    """A reader that leaves at the end of the block."""
    listener = Listener()
    try:
        yield listener
    finally:
        if listener._socket is not None:
            listener.leave()
