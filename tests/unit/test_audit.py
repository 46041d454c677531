"""What the audit of dependencies makes of an answer, and of none."""

import re
from pathlib import Path
from typing import Any

import pytest

from tools import audit

ROOT = Path(__file__).parents[2]
NOBODY = {"name": "a", "skip_reason": "Dependency not found"}
SOUND = {"name": "b", "version": "1", "vulns": []}
LEAKY = {"name": "c", "version": "2", "vulns": [{"id": "X-1", "aliases": ["CVE-1"]}]}


def outcome(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *answers: list[dict[str, Any]] | None,
) -> tuple[int, str]:
    """Exit code and words for answers of the services, in their order."""
    given = dict(zip(audit.SERVICES, answers, strict=True))

    def ask(service: str) -> dict[str, Any] | None:
        found = given[service]
        return None if found is None else {"dependencies": found}

    monkeypatch.setattr(audit, "ask", ask)
    return audit.main(), capsys.readouterr().out


def test_no_service_is_no_pass_and_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A mirror of an index knows no vulnerabilities, which is not to say that there are none.
    for answers in ((None, None), (None, [NOBODY, NOBODY])):
        code, said = outcome(monkeypatch, capsys, *answers)
        assert code == 0
        assert "warning: NOT AUDITED" in said


def test_a_known_vulnerability_fails_the_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = outcome(monkeypatch, capsys, None, [NOBODY, SOUND, LEAKY])
    assert code == 1
    assert "c 2: X-1" in said
    assert "warning: not known to pypi: a" in said


@pytest.mark.parametrize("name", ["X-1", "CVE-1"])
def test_one_that_is_explained_does_not(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "ACCEPTED", {name: "a reason"})
    code, said = outcome(monkeypatch, capsys, [SOUND, LEAKY], None)
    assert code == 0
    assert "2 packages asked of osv, 0 with vulnerabilities" in said


def test_every_version_that_is_pinned_can_be_audited() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.\[\]-]+==[\w.]+", line) for line in pinned)


def test_every_exemption_from_a_rule_of_security_says_why() -> None:
    bare = [
        f"{path.relative_to(ROOT)}:{number}"
        for folder in ("stream_app", "tests", "tools", "benchmarks", "examples")
        for path in (ROOT / folder).rglob("*.py")
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if re.search(r"# noqa: ([A-Z]+\d+, )*S\d{3}(, [A-Z]+\d+)*(?!.* - \S)", line)
    ]
    assert bare == []
