"""Check every template before AWS does: ``python -m infra.checks``.

Synthesises every stage of the catalog and holds the templates against CDK's own validation, cdk-nag's
AwsSolutions rules, cfn-lint and checkov. Prints each finding; exit code 1 if there is one, 2 if a stage
cannot be synthesised. What is accepted is written, with its reason, in ``infra.acknowledged``,
``infra/accepted.toml`` and below.

A stage whose runtime layer is not built is checked with a stand-in of a few bytes, and says so: what
the layer holds changes no template beyond the layer's own digest.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks
from cfnlint.api import lint
from cfnlint.config import ManualArgs

from catalog import Catalog, Lock, load_catalog, load_lock, lock_path
from catalog.lock import NOTHING_LOCKED
from catalog.schema import Stage
from infra.deployment import declare
from infra.scans import findings_of_checkov, read_accepted, unexplained
from model_store.contract.errors import SwitchyardError

ROOT = Path(__file__).resolve().parent.parent
REPORT = "validation-report.json"
REGION = "eu-central-1"

CFN_LINT_IGNORED = {
    "W2530": "SnapStart acts on published versions; the release controller publishes them (law 4)",
    "W3005": "CDK writes dependencies that a reference implies already; they change nothing",
}
"""Rules of cfn-lint that are left out, each with its reason."""

WARNINGS_OF_OURS = ("switchyard:slowStart",)
"""What the app itself says of a catalog, for people to read: estimates, and no fault of a template."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a checker holds against a template."""

    stage: str
    rule: str
    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.stage}: {self.rule} {self.place}: {self.text}"


def synthesise(
    catalog: Catalog, stage_name: str, *, root: Path, out: Path, lock: Lock = NOTHING_LOCKED
) -> Path:
    """Synthesise ``stage_name`` into ``out`` with cdk-nag watching, and return ``out``."""
    app = cdk.App(outdir=str(out), context=_feature_flags(root), analytics_reporting=False)
    declare(app, catalog=catalog, stage_name=stage_name, root=root, lock=lock)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    try:
        app.synth()
    except RuntimeError:
        # CDK raises when a plugin found something; what it found stands in the report. Anything else
        # that went wrong left no report behind.
        if not (out / REPORT).is_file():
            raise
    return out


def findings_of_cdk(stage: str, out: Path) -> Iterator[Finding]:
    """What CDK's validation and cdk-nag reported and nobody acknowledged."""
    report = json.loads((out / REPORT).read_text("utf-8"))
    for plugin in report["pluginReports"]:
        for violation in plugin["violations"]:
            if violation["ruleName"].endswith(WARNINGS_OF_OURS):
                continue
            for place in violation["violatingConstructs"]:
                where = str(place.get("constructPath") or place.get("cloudFormationResource", ""))
                yield Finding(stage, violation["ruleName"], where, violation["description"])


def findings_of_cfn_lint(stage: str, out: Path) -> Iterator[Finding]:
    """What cfn-lint says about each template."""
    settings = ManualArgs(regions=[REGION], ignore_checks=list(CFN_LINT_IGNORED))
    for template in sorted(out.glob("*.template.json")):
        for match in lint(template.read_text("utf-8"), config=settings):
            where = f"{template.name}:{'/'.join(str(part) for part in getattr(match, 'path', None) or [])}"
            yield Finding(stage, match.rule.id, where, match.message)


def with_stand_ins(catalog: Catalog, root: Path, folder: Path) -> tuple[Catalog, list[str]]:
    """The catalog with a stand-in for every runtime layer that is not built, and whose those are."""
    missing = [stage for stage in catalog.stages.values() if not _built(stage, root)]
    stand_in = write_stand_in_layer(folder / "layer") if missing else folder
    relative = os.path.relpath(stand_in, root)
    stages = {
        name: stage.model_copy(update={"runtime_layer": relative}) if stage in missing else stage
        for name, stage in catalog.stages.items()
    }
    return catalog.model_copy(update={"stages": stages}), [stage.name for stage in missing]


def write_stand_in_layer(layer: Path) -> Path:
    """Make a folder that has the shape of a runtime layer and nothing in it, and return it."""
    (layer / "python").mkdir(parents=True)
    (layer / "python" / "stand_in.py").write_text('"""Stands in for the runtime layer."""\n', "utf-8")
    layer.with_name(layer.name + ".json").write_text('{"target": "local"}\n', "utf-8")
    return layer


def main() -> int:
    """Check all stages; 0 when nobody found anything."""
    try:
        catalog = load_catalog(ROOT / "models.toml")
        with tempfile.TemporaryDirectory() as folder:
            return _check(catalog, load_lock(lock_path(ROOT / "models.toml")), Path(folder))
    except SwitchyardError as error:
        print(f"error: {error}\nhint: {error.hint}", file=sys.stderr)  # noqa: T201
        return 2


def _check(catalog: Catalog, lock: Lock, folder: Path) -> int:
    catalog, stand_ins = with_stand_ins(catalog, ROOT, folder)
    for name in stand_ins:
        print(f"{name}: the runtime layer is not built, a stand-in takes its place", file=sys.stderr)  # noqa: T201
    count = 0
    for stage in catalog.stages:
        out = synthesise(catalog, stage, root=ROOT, out=folder / stage, lock=lock)
        for finding in (*findings_of_cdk(stage, out), *findings_of_cfn_lint(stage, out)):
            print(finding)  # noqa: T201
            count += 1
    for found in unexplained(findings_of_checkov(folder), read_accepted()):
        print(found)  # noqa: T201
        count += 1
    templates = len(list(folder.glob("*/*.template.json")))
    print(f"{templates} templates of {len(catalog.stages)} stages checked, {count} findings", file=sys.stderr)  # noqa: T201
    return 1 if count else 0


def _built(stage: Stage, root: Path) -> bool:
    return (root / (stage.runtime_layer + ".json")).is_file()


def _feature_flags(root: Path) -> dict[str, object]:
    """The flags of ``cdk.json``, so that what is checked is what is deployed."""
    context: dict[str, object] = json.loads((root / "cdk.json").read_text("utf-8"))["context"]
    return context


if __name__ == "__main__":
    sys.exit(main())
