"""Up to four workers under a supervisor that starts again whoever ends by herself."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from time import monotonic, sleep

from tests.kafka.reckoning import SEEN_AGAIN
from tests.kafka.worker import Worker
from tests.kafka.workers import Workers

MOST = 4
POLL_S = 0.1
COUNT_EVERY_S = 1.0
READY_TIMEOUT_S = 120.0
#: What differs from one end of a worker to the next, and tells nothing.
_DETAILS = re.compile(r"\d+|/\S+|\([^)]*\)")


@dataclass
class Member:
    """One worker's place, whether she is wanted, and what she had counted when last asked."""

    worker: Worker
    is_wanted: bool = False
    is_frozen: bool = False
    seen_again: float = 0.0
    copy: Path = field(init=False)

    def __post_init__(self) -> None:
        self.copy = self.worker.data_dir.with_name("older")


class Crew:
    """The members, and how those ended that were not told to."""

    def __init__(self, system: Workers) -> None:
        self.members = [Member(system.make(f"worker-{n}")) for n in range(1, MOST + 1)]
        self.ended: Counter[str] = Counter()
        self._seen_again = 0.0
        self._counted = 0.0

    @property
    def wanted(self) -> list[Member]:
        return [member for member in self.members if member.is_wanted]

    @property
    def away(self) -> list[Member]:
        return [member for member in self.members if not member.is_wanted]

    @property
    def seen_again(self) -> float:
        """Records that came again to anybody, as far as their counters were read in time."""
        return self._seen_again + sum(member.seen_again for member in self.members)

    # -- one by one

    def start(self, member: Member, *options: str) -> None:
        member.worker.launch(*options)
        member.is_wanted = True

    def stop(self, member: Member) -> None:
        """In order; fails where she takes longer than supervisors allow."""
        self._count(member)
        if member.worker.has_ended:
            self._note_end(member)
        elif code := member.worker.terminate():
            self.ended[f"{code} when told to stop: {self._reason(member)}"] += 1
        self._gone(member)

    def kill(self, member: Member) -> None:
        self._count(member)
        member.worker.kill()
        self._gone(member)

    def wipe(self, member: Member) -> None:
        """She has no state on her machine any more; she must not run."""
        shutil.rmtree(member.worker.data_dir, ignore_errors=True)

    def copy_state(self, member: Member) -> None:
        """Keep her state as it is at this moment, as a backup of a running machine would be."""
        shutil.rmtree(member.copy, ignore_errors=True)
        with member.worker.frozen():
            if member.worker.data_dir.exists():
                shutil.copytree(member.worker.data_dir, member.copy)

    def bring_back_state(self, member: Member) -> None:
        """Her state is that of the copy; she must not run."""
        self.wipe(member)
        if member.copy.exists():
            shutil.copytree(member.copy, member.worker.data_dir)

    # -- all of them

    def wait(self, condition: Callable[[], bool], timeout_s: float = READY_TIMEOUT_S) -> bool:
        """Watch over them until the condition holds; whether it did in time."""
        deadline = monotonic() + timeout_s
        while not condition():
            if monotonic() > deadline:
                return False
            self._watch()
            sleep(POLL_S)
        return True

    def pass_time(self, seconds: float) -> None:
        end = monotonic() + seconds
        self.wait(lambda: monotonic() >= end, seconds + 1.0)

    def are_ready(self) -> bool:
        return all(
            not member.worker.has_ended and not member.is_frozen and member.worker.answers()
            for member in self.wanted
        )

    def _watch(self) -> None:
        for member in self.wanted:
            if member.worker.has_ended:
                self._note_end(member)
                self._gone(member)
                self.start(member)
        if monotonic() >= self._counted + COUNT_EVERY_S:
            self._counted = monotonic()
            for member in self.wanted:
                self._count(member)

    def _note_end(self, member: Member) -> None:
        code = member.worker.wait()
        self.ended[f"{code}: {self._reason(member)}"] += 1

    def _count(self, member: Member) -> None:
        if member.is_frozen or member.worker.has_ended:
            return
        try:
            member.seen_again = member.worker.counter(SEEN_AGAIN)
        except (OSError, HTTPException):
            return  # she does not listen yet, or any more

    def _gone(self, member: Member) -> None:
        member.is_wanted = member.is_frozen = False
        self._seen_again += member.seen_again
        member.seen_again = 0.0

    def _reason(self, member: Member) -> str:
        """Her last line in brief, where it is meant for people."""
        lines = member.worker.log().splitlines()
        said = lines[-1] if lines and lines[-1].startswith("kol: ") else "no word"
        return " ".join(_DETAILS.sub("", said).split())[:100]
