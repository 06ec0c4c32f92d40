"""``yard``: publish, release and roll back models from a terminal.

Exit codes: 0 done, 1 refused and nothing changed (or a disagreement found), 2 misspelled.
"""

from __future__ import annotations

import sys

import typer

from model_store.contract.errors import CatalogError, InvalidNameError, RecipeError, SwitchyardError
from yard import output
from yard.commands.adopt import adopt
from yard.commands.callers import callers
from yard.commands.collect import collect, pin, pins, unpin
from yard.commands.cost import cost
from yard.commands.dash import dash
from yard.commands.doctor import doctor
from yard.commands.drift import drift, truth
from yard.commands.invoke import invoke
from yard.commands.local import local
from yard.commands.lock import lock
from yard.commands.logs import logs
from yard.commands.metrics import metrics
from yard.commands.optimise import optimise
from yard.commands.pipeline import pipeline
from yard.commands.plan import plan
from yard.commands.promote import promote
from yard.commands.provision import provision
from yard.commands.proxy import proxy
from yard.commands.publish import import_, publish
from yard.commands.pull import pull
from yard.commands.rebase import rebase
from yard.commands.release import release, retire, rollback
from yard.commands.restore import restore
from yard.commands.shadow import shadow
from yard.commands.shift import flip, stop, watch
from yard.commands.show import diff, show
from yard.commands.sign import sign
from yard.commands.status import history, status
from yard.commands.top import top
from yard.commands.train import train
from yard.commands.tune import tune
from yard.commands.verify import verify
from yard.commands.versions import versions

REFUSED = 1
MISSPELLED = 2
INTERRUPTED = 130

app = typer.Typer(
    name="yard",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Serve models on AWS: publish immutable versions, release them by alias, roll back with one move.",
)
for command in (
    *(publish, adopt, sign, versions, show, diff, pull, verify, promote, restore),
    *(release, rollback, rebase, watch, stop, flip, shadow, status, history, invoke, retire),
    *(proxy, callers, plan),
    *(collect, pin, unpin, pins),
    *(lock, provision, doctor),
    *(train, tune, optimise, pipeline),
    *(metrics, top, logs, cost, dash, drift, truth),
):
    app.command()(command)
app.command("import")(import_)
app.add_typer(local, name="local")


def run() -> None:
    """Entry point of the console script: every error of ours is one line and a way out, no traceback."""
    try:
        app()
    except SwitchyardError as error:
        output.fail(str(error), hint=error.hint, evidence=getattr(error, "evidence", ()))
        sys.exit(MISSPELLED if isinstance(error, InvalidNameError | CatalogError | RecipeError) else REFUSED)
    except KeyboardInterrupt:
        output.fail("interrupted", hint="Run the same command again to complete it.")
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    run()
