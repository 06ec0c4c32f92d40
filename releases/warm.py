"""Warm: provisioned concurrency on the version that serves and on the one a rollback goes back to.

It is put on Lambda *versions*, never on an alias. On an alias it forbids weights ("Alias with weights can
not be used with Provisioned Concurrency", aws/serverless-application-model#1353), moves to another
version only after the alias has, and so meets a flip, and above all a rollback, with cold environments.
On versions the new one is warm before the alias moves, the old one stays warm behind it, and the alias
stays a plain pointer (gradientedge/cdk-utils pull request 1110 went the same way). The warning that
provisioned concurrency on a version cannot be rolled back (aws/aws-cdk pull request 8883) is about
versions in a template, whose properties CloudFormation cannot change. Here no template holds one.

SnapStart excludes it (refused in the catalog), and so does this project for shifts: a model with
provisioned concurrency is flipped, warm to warm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from model_store.contract.deployment import is_declarable
from model_store.contract.errors import SwitchyardError
from model_store.contract.names import ByVersion
from releases.errors import NoHeadroomError, UnfitVersionError
from releases.ledger import Ledger, step_before
from releases.ports import Clock, Functions, Provisioned
from releases.prepare import served_by
from releases.records import UNRELEASED, Base

if TYPE_CHECKING:
    from releases.stage import Stage

PATIENCE_S = 900.0
"""Allocation takes a minute or two at first and adds up to 6,000 environments a minute (Lambda developer
guide, "Configuring provisioned concurrency"); loading the model comes on top."""

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 10.0


class Warm:
    """The environments of one function that are kept started."""

    def __init__(
        self, functions: Functions, clock: Clock, *, function: str, say: Callable[[str], None]
    ) -> None:
        self._functions = functions
        self._clock = clock
        self._function = function
        self._say = say

    def ready(self, versions: Iterable[str], executions: int) -> None:
        """Start ``executions`` environments of each of ``versions`` and wait until all of them stand.

        Nothing that serves changes. Safe to repeat: what is ready is left alone. A failure leaves what was
        asked for, which ``settle`` takes back after the next move.
        """
        if executions < 1:
            return
        wanted = list(dict.fromkeys(versions))
        for version in self._lacking(wanted, executions):
            self._say(f"starting {executions} environments of Lambda version {version}")
            self._functions.provision(self._function, version, executions)
        deadline, pause = self._clock.now() + PATIENCE_S, _FIRST_PAUSE_S
        while waiting := self._not_ready(wanted):
            if self._clock.now() >= deadline:
                raise UnfitVersionError(
                    f"the environments of Lambda version {waiting[0]} of `{self._function}` did not start "
                    f"within {PATIENCE_S / 60:.0f} minutes",
                    hint="Lower `provisioned_concurrency` in the catalog, or repeat the command.",
                )
            self._clock.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_S)

    def settle(self, keep: Iterable[str], executions: int) -> tuple[str, ...]:
        """Keep ``executions`` environments of each of ``keep`` and none of any other version.

        It waits for nothing and raises nothing: a move that is done is not undone for it.
        """
        wanted = list(dict.fromkeys(keep)) if executions > 0 else []
        try:
            for version in self._lacking(wanted, executions):
                self._functions.provision(self._function, version, executions)
            for version in self._functions.provisioned(self._function):
                if version not in wanted:
                    self._functions.unprovision(self._function, version)
        except SwitchyardError as error:
            return (f"which environments of `{self._function}` are kept started is not up to date: {error}",)
        return ()

    def present(self) -> dict[str, Provisioned]:
        """What is kept started, by Lambda version."""
        return self._functions.provisioned(self._function)

    def _lacking(self, versions: list[str], executions: int) -> list[str]:
        found = self._functions.provisioned(self._function)
        return [
            version
            for version in versions
            if version not in found
            or found[version].requested != executions
            or found[version].state == "FAILED"
        ]

    def _not_ready(self, versions: list[str]) -> list[str]:
        found = self._functions.provisioned(self._function)
        for version in versions:
            if version in found and found[version].state == "FAILED":
                raise UnfitVersionError(
                    f"the environments of Lambda version {version} of `{self._function}` cannot be kept "
                    f"started: {found[version].reason or 'no reason given'}",
                    hint="Lower `provisioned_concurrency` in the catalog, or ask for more concurrency.",
                )
        return [version for version in versions if version not in found or found[version].state != "READY"]


def refuse_weights(base: Base, ref: ByVersion) -> None:
    """Refuse to give ``ref`` a share of the calls where environments are provisioned.

    AWS refuses weights beside provisioned concurrency on an alias. On versions nobody documents the pair.
    """
    if base.provisioned:
        raise NoHeadroomError(
            f"`{ref.model}` has provisioned concurrency, which goes with no weighted alias",
            hint=f"Release it at once, `yard release {ref}`: its environments are started before the alias "
            "moves, and those of the version before it are kept.",
        )


def kept_warm(stage: Stage, model: str, base: Base) -> list[str]:
    """The Lambda versions that answer for any alias of ``model``, and those a rollback would go to."""
    keep: list[str] = []
    for state in stage.functions.aliases(base.function):
        if not is_declarable(state.alias):
            continue
        answering = [state.version, *state.weights]
        configs = [stage.functions.config(base.function, version) for version in answering]
        keep += [config.version for config in configs if config and served_by(config) != UNRELEASED]
        before = step_before(Ledger(stage.store, model, state.alias).lines())
        if before is not None:
            prepared = stage.preparer.find(model, before.version, base)
            keep.append(prepared.lambda_version if prepared else before.lambda_version)
    return keep
