"""How hard property tests try, and the seed of tests that draw their events and faults.

Property tests: `HYPOTHESIS_PROFILE`, or `ci` where the variable CI is set. Other seeds: `--seed`.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import settings

settings.register_profile("dev", max_examples=25, deadline=None)
settings.register_profile("ci", max_examples=25, deadline=None, derandomize=True)
settings.register_profile("nightly", max_examples=2_000, deadline=None)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, help="for events and faults, instead of each test's own")
    parser.addoption("--events", type=int, help="at least so many for each fault")


@pytest.fixture
def seeded(request: pytest.FixtureRequest) -> Callable[[int], int]:
    """The seed of a test, from the one that it has by itself; printed, so that it can be given."""

    def choose(default: int) -> int:
        given = request.config.getoption("--seed")
        seed: int = default if given is None else given
        print(f"seed {seed}; again with --seed {seed}")  # noqa: T201
        return seed

    return choose
