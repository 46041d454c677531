"""Faults that befall a crew of workers and their broker, and the plan of a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.kafka.broker import KafkaBroker
from tests.kafka.crew import Crew, Member

SESSION_S = 3.0  # of the workers, as `worker_process` has it
LONGEST_AWAY_S = 15.0
DEATH_TIMEOUT_S = 25.0
#: Where a worker kills itself, and the most passings before it does.
CRASH_POINTS = {
    "sending:users-changelog": 40,
    "confirmed:users-changelog": 40,
    "stored": 40,
    "sending:kol-events": 3,
    "confirmed:kol-events": 3,
    "applied": 30,
    "acknowledged": 30,
    "reading": 1,
    "recovered": 1,
    "assigned": 1,
    "revoked": 2,
}
REFUSALS = ("users-changelog", "kol-events", "kol-snapshots", "kol-thresholds")


class Step(NamedTuple):
    """One fault of a plan, with what chance decides about it."""

    fault: str
    #: which of the workers in question, as a share of their number
    who: float
    #: how long, how much or where, as a share of what is possible
    size: float
    #: until the next fault; None: it comes before the workers have recovered from this one
    pause_s: float | None


def plan(seed: int) -> Iterator[Step]:
    """Each kind of fault as often as any other, in an order that the seed decides."""
    chance = random.Random(f"faults {seed}")
    kinds = list(FAULTS)
    while True:
        chance.shuffle(kinds)
        for name in kinds:
            who, size, hurry = chance.random(), chance.random(), chance.random()
            yield Step(name, who, size, None if hurry < 0.2 else chance.uniform(1.0, 5.0))


class Scene(NamedTuple):
    """What faults are made on."""

    crew: Crew
    broker: KafkaBroker


def strike(scene: Scene, step: Step) -> bool:
    """Make the fault happen; whether there was anybody whom it could befall."""
    return FAULTS[step.fault](scene, step)


def _choose(members: list[Member], share: float) -> Member:
    return members[int(share * len(members))]


def _join(scene: Scene, step: Step) -> bool:
    if not scene.crew.away:
        return False
    scene.crew.start(_choose(scene.crew.away, step.who))
    return True


def _leave(scene: Scene, step: Step) -> bool:
    if len(scene.crew.wanted) < 2:
        return False
    scene.crew.stop(_choose(scene.crew.wanted, step.who))
    return True


def _restart(scene: Scene, step: Step) -> bool:
    member = _choose(scene.crew.wanted, step.who)
    scene.crew.stop(member)
    scene.crew.start(member)
    return True


def _kill(scene: Scene, step: Step) -> bool:
    member = _choose(scene.crew.wanted, step.who)
    scene.crew.kill(member)
    scene.crew.start(member)
    return True


def _kill_all(scene: Scene, _: Step) -> bool:
    members = scene.crew.wanted
    for member in members:
        scene.crew.kill(member)
    for member in members:
        scene.crew.start(member)
    return True


def _with_fault(scene: Scene, member: Member, *options: str) -> bool:
    """Start a worker that ends by itself, and wait until the supervisor has started it again."""
    crew = scene.crew
    before = crew.ended.total()
    crew.start(member, *options)
    has_ended = crew.wait(lambda: crew.ended.total() > before, DEATH_TIMEOUT_S)
    if not has_ended:
        crew.kill(member)  # she never came by there
        crew.start(member)
    return has_ended


def _crash_point(scene: Scene, step: Step) -> bool:
    points = list(CRASH_POINTS)
    point = points[int(step.size * len(points))]
    member = _choose(scene.crew.wanted, step.who)
    scene.crew.stop(member)
    if point == "reading":
        scene.crew.wipe(member)
    passing = 1 + int(step.who * CRASH_POINTS[point])
    return _with_fault(scene, member, "--fault", f"kill@{point}:{passing}")


def _refusal(action: str) -> Callable[[Scene, Step], bool]:
    def refuse(scene: Scene, step: Step) -> bool:
        topic = REFUSALS[int(step.size * len(REFUSALS))]
        member = _choose(scene.crew.wanted, step.who)
        scene.crew.stop(member)
        return _with_fault(scene, member, "--fault", f"{action}@sending:{topic}:3")

    return refuse


def _full_disk(scene: Scene, step: Step) -> bool:
    member = _choose(scene.crew.wanted, step.who)
    scene.crew.stop(member)
    size = int(50_000 + 250_000 * step.size)
    return _with_fault(scene, member, "--most-bytes-in-a-file", str(size))


def _wiped(scene: Scene, step: Step) -> bool:
    member = _choose(scene.crew.wanted, step.who)
    scene.crew.kill(member)
    scene.crew.wipe(member)
    scene.crew.start(member)
    return True


def _older(scene: Scene, step: Step) -> bool:
    member = _choose(scene.crew.wanted, step.who)
    scene.crew.copy_state(member)
    scene.crew.pass_time(1.0 + 5.0 * step.size)
    scene.crew.kill(member)
    scene.crew.bring_back_state(member)
    scene.crew.start(member)
    return True


def _frozen(scene: Scene, step: Step) -> bool:
    member = _choose(scene.crew.wanted, step.who)
    if member.worker.has_ended:
        return False
    member.worker.freeze()
    _thaw_late(scene, member, step)
    return True


def _frozen_in_a_write(scene: Scene, step: Step) -> bool:
    """She wakes, after her partitions have gone to others, with rows that she is about to write."""
    member = _choose(scene.crew.wanted, step.who)
    scene.crew.stop(member)
    passing = 1 + int(CRASH_POINTS["sending:users-changelog"] * step.who)
    scene.crew.start(member, "--fault", f"freeze@sending:users-changelog:{passing}")
    member.is_frozen = True  # so that nobody asks her anything
    is_frozen = scene.crew.wait(
        lambda: member.worker.has_ended or member.worker.is_frozen(), DEATH_TIMEOUT_S
    )
    if not is_frozen:  # else she freezes later, when nobody thaws her
        scene.crew.kill(member)
        scene.crew.start(member)
        return False
    _thaw_late(scene, member, step)
    return True


def _thaw_late(scene: Scene, member: Member, step: Step) -> None:
    """Her session has ended by then; how she ends, if she does, is counted."""
    member.is_frozen = True
    scene.crew.pass_time(SESSION_S * (1.5 + step.size))
    member.is_frozen = False
    if not member.worker.has_ended:
        member.worker.thaw()
    scene.crew.pass_time(1.0)


def _broker_restarts(scene: Scene, _: Step) -> bool:
    scene.broker.stop()
    scene.broker.start()
    return True


def _broker_away(scene: Scene, step: Step) -> bool:
    scene.broker.stop(kill=True)
    scene.crew.pass_time(LONGEST_AWAY_S * (0.3 + 0.7 * step.size))
    scene.broker.start()
    return True


def _broker_hangs(scene: Scene, step: Step) -> bool:
    scene.broker.pause()
    scene.crew.pass_time(SESSION_S * (0.5 + 2.0 * step.size))
    scene.broker.resume()
    return True


FAULTS: dict[str, Callable[[Scene, Step], bool]] = {
    "a worker joins": _join,
    "a worker leaves": _leave,
    "SIGTERM and start": _restart,
    "kill -9": _kill,
    "kill -9 of all workers": _kill_all,
    "kill -9 at a point": _crash_point,
    "broker refuses": _refusal("refuse"),
    "broker does not answer": _refusal("time-out"),
    "disk full": _full_disk,
    "state wiped": _wiped,
    "older state": _older,
    "worker frozen": _frozen,
    "worker frozen in a write": _frozen_in_a_write,
    "broker restarts": _broker_restarts,
    "broker away, up to 15 s": _broker_away,
    "broker hangs": _broker_hangs,
}
