"""What Dockerfile and docker-compose.yml say, the latter as Docker Compose itself reads it."""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
COMPOSE_FILE = ROOT / "docker-compose.yml"
TOKEN = secrets.token_hex(16)


def compose(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Docker Compose on our file as if it lay in `folder`, where no `.env` but the test's is."""
    program = Path(sys.executable).with_name("docker-compose")
    place = ("--file", str(COMPOSE_FILE), "--project-directory", str(folder), "--profile", "*")
    return subprocess.run(
        [str(program), *place, *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(folder)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def services(folder: Path, **environment: str) -> dict[str, Any]:
    """Every service, of all profiles, with variables filled in."""
    done = compose(folder, "config", "--format", "json", **environment)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)["services"]
    return found


def instructions(word: str) -> list[str]:
    """What follows that instruction in the Dockerfile, each time; continued lines are joined."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines(keepends=True)
    text = "".join(line for line in lines if not line.startswith("#")).replace("\\\n", "")
    return re.findall(rf"^{word} +(.*)$", text, re.MULTILINE)


def instruction(word: str) -> str:
    """The one that is in force: the last."""
    return instructions(word)[-1]


def image_environment() -> dict[str, str]:
    """KOL_* variables that the image sets."""
    pairs = dict(pair.split("=", 1) for pair in shlex.split(instruction("ENV")))
    return {name: value for name, value in pairs.items() if name.startswith("KOL_")}


def image_health_command() -> list[str]:
    """The command of the image's own health check."""
    command: list[str] = json.loads(instruction("HEALTHCHECK").partition(" CMD ")[2])
    return command
