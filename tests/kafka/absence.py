"""What happens to a test that needs what this machine does not have."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def skip(reason: str) -> NoReturn:
    """The test is skipped; in CI it fails, since there nothing may be missing."""
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(reason)
    pytest.skip(reason)


def need(*programs: str) -> None:
    """All of them are installed, or the test is skipped."""
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        skip(f"not installed: {', '.join(missing)}")
