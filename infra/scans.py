"""What scanners find in templates, code and dependencies: ``python -m infra.scans`` and ``infra.checks``.

checkov reads the synthesised templates, bandit the code, pip-audit what ships. They live in a virtual
environment of their own (``make`` builds ``.venv-scan`` from ``requirements-scan.txt``), because checkov pins
older versions of what the project runs on. A finding is accepted only with a reason, in
``infra/accepted.toml``; a reason that no finding needs any more is itself a finding.

Reads files and starts programs; nothing changes, safe to repeat. pip-audit asks the package index for known
vulnerabilities: where it does not answer, that is printed and the rest goes on.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from infra.errors import PreflightError
from model_store.contract.errors import SwitchyardError

ROOT = Path(__file__).resolve().parent.parent
SCANNERS = ROOT / ".venv-scan" / "bin"
ACCEPTED = Path(__file__).with_name("accepted.toml")

ROOMS = (
    *("app.py", "benchmarks", "catalog", "drift", "examples", "functions", "infra", "layers", "local_cloud"),
    *("model_store", "planning", "releases", "switchyard_client", "telemetry", "yard"),
)
SHIPPED = (
    "layers/runtime.txt",
    "layers/runtime-text.txt",
    "layers/runtime-image.txt",
    "layers/runtime-floats.txt",
    "functions/endpoint/requirements.txt",
    "constraints.txt",
)
"""Lists of what runs in an account or on the machine of who deploys; those that exist are audited."""

_PATIENCE_S = 300
_PROBE_S = 60


@dataclass(frozen=True, slots=True)
class Found:
    """One thing a scanner holds against a place: a resource, a line of code, a package."""

    scanner: str
    rule: str
    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.scanner}: {self.rule} {self.place}: {self.text}"


@dataclass(frozen=True, slots=True)
class Accepted:
    """Findings of one rule in some places that stay, and why. ``where`` are patterns of places."""

    scanner: str
    rule: str
    where: tuple[str, ...]
    why: str

    def covers(self, found: Found) -> bool:
        return (self.scanner, self.rule) == (found.scanner, found.rule) and any(
            fnmatchcase(found.place, pattern) for pattern in self.where
        )


def read_accepted(path: Path = ACCEPTED) -> list[Accepted]:
    """The findings that are accepted. One without a reason is refused."""
    read: list[Accepted] = []
    for scanner, entries in tomllib.loads(path.read_text("utf-8")).items():
        for entry in entries:
            one = Accepted(scanner, entry["rule"], tuple(entry["where"]), entry.get("why", "").strip())
            if not one.why:
                raise PreflightError(
                    f"`{path.name}` accepts {scanner}'s {one.rule} without a reason",
                    hint="Write the reason as `why`, or correct what is found.",
                )
            read.append(one)
    return read


def unexplained(found: Iterable[Found], accepted: Iterable[Accepted]) -> list[Found]:
    """What nobody wrote a reason for."""
    every = list(accepted)
    return [one for one in found if not any(reason.covers(one) for reason in every)]


def needless(found: Iterable[Found], accepted: Iterable[Accepted]) -> list[Found]:
    """Reasons that no finding needs, as findings."""
    every = list(found)
    return [
        Found(one.scanner, one.rule, ", ".join(one.where), "is accepted in `accepted.toml`, and not found")
        for one in accepted
        if not any(one.covers(each) for each in every)
    ]


def findings_of_checkov(folder: Path) -> list[Found]:
    """What checkov holds against the templates in ``folder`` and below."""
    arguments = ("--framework", "cloudformation", "--directory", str(folder), "--output", "json")
    done = _run("checkov", *arguments, "--compact", "--quiet", "--skip-download")
    if done.returncode not in (0, 1):
        raise _failed("checkov", done)
    return list(read_checkov(done.stdout))


def read_checkov(text: str) -> Iterator[Found]:
    """Read its report; a folder without anything to check gives a summary and no results."""
    report = json.loads(text)
    for part in report if isinstance(report, list) else [report]:
        for check in part.get("results", {}).get("failed_checks", ()):
            template = Path(check["file_path"]).name.removesuffix(".template.json")
            yield Found("checkov", check["check_id"], f"{template}:{check['resource']}", check["check_name"])


def findings_of_bandit(root: Path = ROOT) -> list[Found]:
    """What bandit holds against the rooms' code."""
    done = _run("bandit", "--quiet", "--recursive", "--format", "json", *ROOMS, cwd=root)
    if done.returncode not in (0, 1):
        raise _failed("bandit", done)
    return list(read_bandit(done.stdout))


def read_bandit(text: str) -> Iterator[Found]:
    """Read its report."""
    for result in json.loads(text)["results"]:
        place = f"{result['filename'].removeprefix('./')}:{result['line_number']}"
        yield Found("bandit", result["test_id"], place, result["issue_text"])


def findings_of_pip_audit(root: Path = ROOT) -> list[Found] | str:
    """Known vulnerabilities of what ships; a sentence instead where the index does not tell."""
    lists = [root / name for name in SHIPPED if (root / name).is_file()]
    probe = _audit(root / "requirements-local.txt", patience_s=_PROBE_S)
    if isinstance(probe, str):
        return probe
    found: list[Found] = []
    for each in lists:
        report = _audit(each, patience_s=_PATIENCE_S)
        if isinstance(report, str):
            return report
        found += read_pip_audit(report)
    return found


def read_pip_audit(report: Mapping[str, Any]) -> Iterator[Found]:
    """Read its report."""
    for package in report["dependencies"]:
        for known in package.get("vulns", ()):
            fixed = ", ".join(known.get("fix_versions", ())) or "no version yet"
            place = f"{package['name']} {package['version']}"
            yield Found("pip-audit", known["id"], place, f"is vulnerable; corrected in {fixed}")


def _audit(requirements: Path, *, patience_s: int) -> Mapping[str, Any] | str:
    try:
        done = _run(
            "pip-audit",
            *("--requirement", str(requirements), "--no-deps", "--disable-pip", "--format", "json"),
            *("--progress-spinner", "off", "--timeout", "5"),
            patience_s=patience_s,
        )
    except subprocess.TimeoutExpired:
        return f"the package index did not answer within {patience_s} s"
    return audited(done.stdout, done.stderr)


def audited(stdout: str, stderr: str) -> Mapping[str, Any] | str:
    """The report, or why there is none: the index cannot be reached, or knows none of the packages."""
    try:
        report: Mapping[str, Any] = json.loads(stdout)
    except json.JSONDecodeError:
        said = [line for line in stderr.splitlines() if line.strip()]
        return said[-1] if said else "pip-audit said nothing"
    packages = report["dependencies"]
    if packages and all("skip_reason" in package for package in packages):
        return str(packages[0]["skip_reason"])
    return report


def main() -> int:
    """Scan code and dependencies; 0 when nothing was found that has no reason."""
    try:
        accepted = read_accepted()
        code = findings_of_bandit()
        shipped = findings_of_pip_audit()
    except SwitchyardError as error:
        print(f"error: {error}\nhint: {error.hint}", file=sys.stderr)  # noqa: T201
        return 2
    if isinstance(shipped, str):
        print(f"pip-audit is skipped: {shipped}", file=sys.stderr)  # noqa: T201
        shipped = []
    found = unexplained([*code, *shipped], accepted)
    found += needless(code, (one for one in accepted if one.scanner == "bandit"))
    for one in found:
        print(one)  # noqa: T201
    print(f"code and dependencies scanned, {len(found)} findings", file=sys.stderr)  # noqa: T201
    return 1 if found else 0


def _run(
    program: str, *arguments: str, cwd: Path = ROOT, patience_s: int = _PATIENCE_S
) -> subprocess.CompletedProcess[str]:
    if not (SCANNERS / program).is_file():
        raise PreflightError(f"the scanner {program} is not installed", hint="Run `make check`.")
    return subprocess.run(
        [str(SCANNERS / program), *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=patience_s,
        check=False,
    )


def _failed(program: str, done: subprocess.CompletedProcess[str]) -> PreflightError:
    said = [line for line in done.stderr.splitlines() if line.strip()]
    return PreflightError(
        f"{program} ended with {done.returncode}: {said[-1] if said else 'no reason given'}",
        hint="Build it anew: remove `.venv-scan`, then run `make check`.",
    )


if __name__ == "__main__":
    sys.exit(main())
