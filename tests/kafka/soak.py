"""Random faults for as long as asked, and an exact reckoning: `make soak MINUTES=30 SEED=1`.

A broker of its own, up to four workers, and a stream that flows at a steady rate. Every few minutes
the stream rests and everything is reckoned: rows, line, members, KOL events and committed offsets,
against what the events sent so far amount to. The same seed gives the same events and the same
plan of faults; when they strike is up to the machine. Ends with 1 if anything was lost, counted
twice, or told wrongly.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from time import monotonic

from tests.kafka.broker import KafkaBroker, KafkaUnavailable
from tests.kafka.chaos import Scene, plan, strike
from tests.kafka.crew import Crew
from tests.kafka.pouring import Pouring, Stops
from tests.kafka.reckoning import Account, audit, commits_reached_the_end
from tests.kafka.workers import Workers, line_is_applied, running
from tests.stream_of_events import INTERACTION_MEMORY, POST_MEMORY, START, STEP_MS, Generator

ROUND_S = 180.0
RATE = 300.0
REST_TIMEOUT_S = 180.0
#: Between the streams of two rounds: after nine of them the users of the first are inactive.
GAP_MS = 10 * 86_400_000
WRONG_SHOWN = 5


@dataclass
class Tried:
    """What is known of one kind of fault."""

    times: int = 0
    #: over the rounds in which it was tried
    lost: int = 0
    twice: int = 0
    events_wrong: int = 0
    #: over those times when no other fault was near
    sent: int = 0
    seen_again: float = 0.0
    longest_stop_s: float = 0.0


@dataclass
class Report:
    """What a soak has found."""

    seed: int
    events: int = 0
    kol_events: int = 0
    repeated: int = 0
    wrong: list[str] = field(default_factory=list)
    tried: dict[str, Tried] = field(default_factory=lambda: defaultdict(Tried))
    ended: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    twice: int = 0
    events_wrong: int = 0

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.twice or self.events_wrong or self.wrong)

    def lines(self) -> Iterator[str]:
        """The table, and what it adds up to."""
        yield (
            f"{'fault':<26}{'tried':>6}{'lost':>6}{'twice':>6}{'KOL events wrong':>18}"
            f"{'redelivered':>13}{'longest stop':>14}"
        )
        for name, tried in sorted(self.tried.items()):
            share = f"{100 * tried.seen_again / tried.sent:.2f} %" if tried.sent else "-"
            stop = f"{tried.longest_stop_s:.1f} s" if tried.sent else "-"
            yield (
                f"{name:<26}{tried.times:>6}{tried.lost:>6}{tried.twice:>6}"
                f"{tried.events_wrong:>18}{share:>13}{stop:>14}"
            )
        yield (
            f"{self.events} events: lost {self.lost}, counted twice {self.twice}; "
            f"{self.kol_events} KOL events, sent again {self.repeated}: "
            f"missing or contradicting {self.events_wrong}"
        )
        for reason, times in sorted(self.ended.items()):
            yield f"ended by itself, {times} times: {reason}"
        yield from self.wrong[:WRONG_SHOWN]


class Soak:
    """One run, round by round."""

    def __init__(
        self, system: Workers, broker: KafkaBroker, *, seed: int, rate: float, freezing: bool
    ) -> None:
        self.report = Report(seed)
        self._system = system
        self._crew = Crew(system)
        self._scene = Scene(self._crew, broker)
        self._plan = plan(seed, freezing=freezing)
        self._rate = rate
        self._rounds = 0
        self._start = START
        self._truth = Generator(seed, events=0).truth()
        self._before = Account(0, 0, [], [], {}, 0)

    def run(self, seconds: float, round_s: float) -> Report:
        end = monotonic() + seconds
        self._crew.start(self._crew.members[0])
        self._crew.start(self._crew.members[1])
        assert self._crew.wait(self._crew.are_ready), "the first workers are not ready"
        while (left := end - monotonic()) > 0 and self.report.is_clean:
            self._round(min(round_s, left))
        for member in self._crew.wanted:
            self._crew.stop(member)
        self.report.ended = dict(self._crew.ended)
        return self.report

    def _round(self, seconds: float) -> None:
        self._rounds += 1
        generator = Generator(
            self.report.seed * 1_000 + self._rounds,
            events=int(seconds * self._rate),
            start=self._start,
            letters=f"r{self._rounds}u",
        )
        pouring = Pouring(self._system, generator.events, self._rate)
        with pouring.flowing():
            struck = self._strike_until(monotonic() + seconds, pouring)
        sent = generator.events[: pouring.sent]
        self._start += len(sent) * STEP_MS + GAP_MS
        self._truth.take((e.topic, e.content) for e in sent if e.content is not None)
        self.report.events += len(sent)
        self._reckon(struck)

    def _strike_until(self, end: float, pouring: Pouring) -> set[str]:
        """Faults of the plan, one after another; returns the kinds that were tried."""
        struck: set[str] = set()
        is_quiet, stops = True, Stops(self._system)
        with stops.watching():
            while monotonic() < end:
                step = next(self._plan)
                sent, seen_again = pouring.sent, self._crew.seen_again
                stops.taken()
                say(f"{step.fault}, {step.who:.2f}, {step.size:.2f}")
                if not strike(self._scene, step):
                    continue
                struck.add(step.fault)
                tried = self.report.tried[step.fault]
                tried.times += 1
                if step.pause_s is None:
                    is_quiet = False
                    continue
                assert self._crew.wait(self._crew.are_ready), "workers are not ready"
                self._crew.pass_time(step.pause_s)
                if is_quiet:
                    tried.sent += pouring.sent - sent
                    tried.seen_again += self._crew.seen_again - seen_again
                    tried.longest_stop_s = max(tried.longest_stop_s, stops.taken())
                is_quiet = True
        return struck

    def _reckon(self, struck: set[str]) -> None:
        if not self._crew.wait(self._is_at_rest, REST_TIMEOUT_S):
            logs = "\n".join(member.worker.log() for member in self._crew.wanted)
            raise AssertionError(f"no rest within {REST_TIMEOUT_S:g} s\n{logs}")
        found = audit(self._system, self._crew.wanted[0].worker, self._truth)
        report, before = self.report, self._before
        report.lost, report.twice = found.lost, found.twice
        report.wrong, report.events_wrong = found.wrong, len(found.events_wrong)
        report.wrong += found.events_wrong
        report.kol_events = sum(map(len, found.events.values()))
        report.repeated = found.repeated
        for name in struck:
            tried = report.tried[name]
            tried.lost += max(0, found.lost - before.lost)
            tried.twice += max(0, found.twice - before.twice)
            tried.events_wrong += max(0, len(found.events_wrong) - len(before.events_wrong))
        self._before = found
        say(f"at rest after {report.events} events: {found}")

    def _is_at_rest(self) -> bool:
        """Everything sent is in rows, line and commits; nobody is away."""
        crew = self._crew
        try:
            return (
                crew.are_ready()
                and all(
                    self._system.cut_reached_the_end(member.worker)
                    and line_is_applied(member.worker)
                    for member in crew.wanted
                )
                and commits_reached_the_end(self._system)
            )
        except (AssertionError, OSError, HTTPException):
            return False  # one of them cannot answer yet


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def soak(
    home: Path, *, seconds: float, seed: int, round_s: float = ROUND_S, freezing: bool = False
) -> Report:
    """Run one below `home`, where the logs of broker and workers stay."""
    memories = {"post_memory": POST_MEMORY, "interaction_memory": INTERACTION_MEMORY}
    with (
        KafkaBroker(home / "kafka") as broker,
        running(broker.bootstrap, "soak-", home, **memories) as system,
    ):
        made = Soak(system, broker, seed=seed, rate=RATE, freezing=freezing)
        report = made.run(seconds, round_s)
    for line in report.lines():
        say(line)
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, help="of events and faults; without one by chance")
    parser.add_argument("--freeze", action="store_true", help="also freeze workers and thaw them")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else secrets.randbelow(1_000_000)
    say(f"seed {seed}; again with SEED={seed}")
    home = Path(tempfile.mkdtemp(prefix="kol-soak-"))
    say(f"logs are in {home}")
    try:
        report = soak(home, seconds=60 * options.minutes, seed=seed, freezing=options.freeze)
    except KafkaUnavailable as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0 if report.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
