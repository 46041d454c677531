"""The wheel, built as a release is, and an environment that has it and nothing of the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD_TIMEOUT_S = 120
TIMEOUT_S = 300


def finished(
    command: list[str], folder: Path, timeout_s: float = TIMEOUT_S
) -> subprocess.CompletedProcess[str]:
    """Run outside the checkout, and without a way into it."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in {"PYTHONPATH", "VIRTUAL_ENV"} and not name.startswith(("KOL_", "COV_"))
    }
    return subprocess.run(
        command,
        cwd=folder,
        env=kept,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = finished(command, folder, BUILD_TIMEOUT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="session")
def wheel(distributions: Path) -> Path:
    (path,) = distributions.glob("*.whl")
    return path


@dataclass(frozen=True)
class Installed:
    """A virtual environment with the wheel in it, and a folder to be in."""

    home: Path
    folder: Path

    @property
    def python(self) -> str:
        return str(self.home / "bin" / "python")

    @property
    def kol(self) -> str:
        return str(self.home / "bin" / "kol")

    def run(self, *command: str) -> str:
        """What it prints; it must end with 0."""
        done = finished(list(command), self.folder)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Our own dependencies are lent to it, which spares 5 GB; the project itself is the wheel's."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False, symlinks=True)
    place = Path(sysconfig.get_path("purelib", "venv", {"base": str(home)}))
    lent = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (place / "lent.pth").write_text("\n".join(sorted(lent)) + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "install"]
    # Whatever the lent folders say of an installed kol-stream, this one goes into `home`.
    options = ["-q", "--no-index", "--no-deps", "--ignore-installed", "--no-warn-conflicts"]
    done = finished([*pip, *options, str(wheel)], home)
    assert done.returncode == 0, done.stdout + done.stderr
    return Installed(home, tmp_path_factory.mktemp("elsewhere"))
