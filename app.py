"""CDK entry point: ``cdk deploy --all -c stage=prod`` declares the stacks of one stage.

The catalog is ``models.toml`` unless ``-c catalog=PATH`` names another; its lock file stands beside it. What
is wrong with any of them is one sentence and a hint, exit code 2, and no stack.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import aws_cdk as cdk

from catalog import load_catalog, load_lock, lock_path
from infra.deployment import declare
from model_store.contract.errors import CatalogError, SwitchyardError

ROOT = Path(__file__).resolve().parent
REFUSED = 2


def main() -> int:
    """Synthesise the chosen stage; 0 when CloudFormation has something to read."""
    app = cdk.App()
    try:
        path = Path(app.node.try_get_context("catalog") or ROOT / "models.toml")
        catalog = load_catalog(path)
        stage = app.node.try_get_context("stage") or os.environ.get("SWITCHYARD_STAGE")
        if not stage:
            raise CatalogError(
                "no stage was chosen", hint=f"Add `-c stage=NAME`; the catalog has {catalog.stage_choice()}."
            )
        lock = load_lock(lock_path(path))
        declare(app, catalog=catalog, stage_name=str(stage), root=ROOT, lock=lock)
    except SwitchyardError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)  # noqa: T201
        return REFUSED
    app.synth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
