"""A virtual environment for each file of requirements, made when it is first asked for.

They lie in the user's cache, under the digest of what they are made of, so that a changed pin makes
a new one. What this Python has in just the version that is pinned, torch above all, is taken from
there; pip installs the rest. In the end every pin is compared with what the new environment sees.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements")
ROOT = Path(__file__).parents[2]

_SEEN = """
import sys
from importlib.metadata import version
for pin in sys.argv[1:]:
    name, _, wanted = pin.partition("==")
    if version(name) != wanted:
        sys.exit(f"{name} is {version(name)}, pinned is {wanted}")
"""


def requirements(name: str) -> Path:
    """The file of this name."""
    return REQUIREMENTS / f"{name}.txt"


def pins(path: Path) -> Iterator[str]:
    """The lines of a requirements file that ask for something, with those of files it includes."""
    for line in path.read_text().splitlines():
        asked = line.partition("#")[0].strip()
        if asked.startswith("-r "):
            yield from pins(path.parent / asked.removeprefix("-r ").strip())
        elif asked:
            yield asked


def python_of(name: str) -> Path:
    """The Python that has these requirements; takes a minute the first time.

    Raises:
        RuntimeError: pip cannot install them, or another version is seen than the one pinned.
    """
    wanted = list(pins(requirements(name)))
    made_of = "\n".join([sys.version, sysconfig.get_path("purelib"), *wanted])
    digest = hashlib.sha256(made_of.encode()).hexdigest()[:12]
    home = _cache() / f"{name}-{digest}"
    python = home / "bin" / "python"
    done = home / "made"
    if not done.exists():
        sys.stderr.write(f"making the environment of {name} in {home}\n")
        shutil.rmtree(home, ignore_errors=True)
        _make(home, python, name, wanted)
        done.touch()
    return python


def _make(home: Path, python: Path, name: str, wanted: list[str]) -> None:
    _run([sys.executable, "-m", "venv", str(home)])
    lib = _run([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
    # Comes behind the environment's own packages: what pip installs there is what is imported.
    Path(lib.strip(), "shared.pth").write_text(sysconfig.get_path("purelib") + "\n")
    _run([str(python), "-m", "pip", "install", "-q", "-r", str(requirements(name))])
    _run([str(python), "-c", _SEEN, *wanted])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)[:200]}: {done.stderr[-1000:]}")
    return done.stdout


def environ_of(settings: dict[str, str]) -> dict[str, str]:
    """What a rival's program is started with: it imports nothing of ours but the job it shares."""
    return dict(os.environ) | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"} | settings


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "kol-stream" / "rivals"
