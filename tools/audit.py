"""Looks for known vulnerabilities in the versions of constraints.txt.

    python -m tools.audit

Exit code 1 where one is known that ACCEPTED does not explain. It needs a vulnerability service:
where none can be reached a line says that nothing was audited, and the exit code is 0, since that
is no fault of what is being checked.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
#: Asked in this order until one answers.
SERVICES: Final = ("osv", "pypi")
TIMEOUT_S: Final = 300

ACCEPTED: Final[Mapping[str, str]] = MappingProxyType({})
"""Id of a vulnerability -> why it does no harm here, and what would change that."""


def findings(report: Mapping[str, Any]) -> dict[str, list[str]] | None:
    """`name version` -> ids that ACCEPTED does not explain; None where nothing was looked up.

    A service that does not know a package (a mirror of an index, as a rule) has it left out of the
    audit, and calls that no error.
    """
    audited = [found for found in report["dependencies"] if "skip_reason" not in found]
    if not audited:
        return None
    unexplained = {
        f"{found['name']} {found['version']}": [
            vulnerability["id"]
            for vulnerability in found["vulns"]
            if not ACCEPTED.keys() & {vulnerability["id"], *vulnerability.get("aliases", ())}
        ]
        for found in audited
    }
    return {name: ids for name, ids in unexplained.items() if ids}


def skipped(report: Mapping[str, Any]) -> list[str]:
    """Names that the service does not know."""
    return [found["name"] for found in report["dependencies"] if "skip_reason" in found]


def ask(service: str) -> dict[str, Any] | None:
    """pip-audit's report; None where the service cannot be reached."""
    # What is pinned is audited as it stands: nothing is resolved anew, nothing installed.
    command = [sys.executable, "-m", "pip_audit", "--requirement", "constraints.txt"]
    command += ["--no-deps", "--disable-pip", "--progress-spinner", "off"]
    command += ["--vulnerability-service", service, "--format", "json"]
    done = subprocess.run(  # noqa: S603 - our own words only
        command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return None
    return report


def main() -> int:
    """Say what was found, in lines."""
    for service in SERVICES:
        report = ask(service)
        found = findings(report) if report is not None else None
        if report is None or found is None:
            continue
        for name, ids in found.items():
            print(f"audit: {name}: {', '.join(ids)}; upgrade it, or say in tools/audit.py why not")
        unknown = skipped(report)
        if unknown:
            print(f"audit: warning: not known to {service}: {', '.join(unknown)}")
        count = len(report["dependencies"]) - len(unknown)
        print(f"audit: {count} packages asked of {service}, {len(found)} with vulnerabilities")
        return 1 if found else 0
    print(
        f"audit: warning: NOT AUDITED: no vulnerability service answers ({', '.join(SERVICES)}); "
        "run `make check` where one can be reached"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
