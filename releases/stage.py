"""One deployed stage, as every command of this room sees it."""

from __future__ import annotations

from collections.abc import Callable

from model_store.contract.deployment import function_name
from model_store.contract.errors import SwitchyardError
from model_store.contract.names import ByAlias, ByVersion
from model_store.ports import ObjectStore
from model_store.signatures import SigningKeys, check
from releases.bases import current_base
from releases.endpoints import ByTarget, target_of
from releases.errors import DisagreementError
from releases.following import follow
from releases.lease import LEASE_SECONDS
from releases.move import Mover
from releases.pins import Pins
from releases.ports import Clock, Endpoints, Executions, Functions, GrpcCalls, Journal, Monitoring
from releases.prepare import Preparer
from releases.records import Base
from releases.shifts import Shifts
from releases.warm import Warm, kept_warm


class Stage:
    """Where the models of a stage are stored, what runs them, who asks, and who hears of progress."""

    def __init__(
        self,
        name: str,
        store: ObjectStore,
        functions: Functions,
        clock: Clock,
        *,
        by: str,
        say: Callable[[str], None] = lambda _: None,
        monitoring: Monitoring | None = None,
        executions: Executions | None = None,
        journal: Journal | None = None,
        alarm_period_s: int = 60,
        endpoints: ByTarget | None = None,
        grpc: GrpcCalls | None = None,
        lease_s: float = LEASE_SECONDS,
        keys: SigningKeys | None = None,
        signed_by: str | None = None,
    ) -> None:
        self.name = name
        self.store = store
        self.functions = functions
        self.clock = clock
        self.by = by
        self.say = say
        self.monitoring = monitoring
        self.executions = executions
        self.journal = journal
        self.alarm_period_s = alarm_period_s
        self.grpc = grpc
        self._keys = keys
        self._signed_by = signed_by
        self._endpoints = endpoints or {}
        self.preparer = Preparer(
            store,
            functions,
            clock,
            stage=name,
            holder=by,
            say=say,
            endpoints=self._endpoints,
            lease_s=lease_s,
            vouched=self.vouched,
        )

    def must_be_signed(self, ref: ByVersion) -> None:
        """Where the catalog names a key, refuse what that key has not signed. Asked before anything is built.

        What was prepared before the key was named is not asked about: a way back must not depend on a key.
        """
        if self._signed_by is None:
            return
        if self._keys is None:
            raise DisagreementError(
                f"stage `{self.name}` releases what `{self._signed_by}` signed, and nothing here verifies it",
                hint="Give the stage its keys: `model_store.adapters.kms`.",
            )
        check(self.store, ref, self._keys, self._signed_by)

    def vouched(self, ref: ByVersion) -> str:
        """The sha256 of the manifest that the stage's key has signed and that is stored; empty without one.

        Asked when a Lambda version is made. It refuses nothing: what a deploy re-releases may be older than
        the key, and must not depend on it.
        """
        if self._signed_by is None or self._keys is None:
            return ""
        try:
            return check(self.store, ref, self._keys, self._signed_by).manifest.removeprefix("sha256:")
        except SwitchyardError:
            return ""

    def endpoints_of(self, base: Base) -> Endpoints | None:
        """What runs the versions of a heavy model; ``None`` for a model on Lambda."""
        return self._endpoints.get(target_of(base))

    def function(self, model: str) -> str:
        return function_name(self.name, model)

    def mover(self, model: str, alias: str) -> Mover:
        """What moves ``model@alias`` and keeps its ledger."""
        return Mover(
            self.store,
            self.functions,
            self.clock,
            function=self.function(model),
            ref=ByAlias(model, alias),
            by=self.by,
            follow=lambda: self.follow(model, alias),
        )

    def shifts(self, model: str, alias: str) -> Shifts:
        """The shifts of ``model@alias``."""
        return Shifts(self.store, ByAlias(model, alias))

    def pins(self, model: str) -> Pins:
        """What makes released versions of ``model`` answer to their numbers."""
        return Pins(self.store, self.functions, model=model, function=self.function(model))

    def warm(self, model: str) -> Warm:
        """The environments of ``model`` that are kept started."""
        return Warm(self.functions, self.clock, function=self.function(model), say=self.say)

    def follow(self, model: str, alias: str, base: Base | None = None) -> tuple[str, ...]:
        """After a move: gRPC calls go where the alias goes. Warnings, no errors; safe to repeat."""
        if self.grpc is None:
            return ()
        return follow(self, model, alias, base or current_base(self.store, model))

    def keep_warm(self, model: str, base: Base | None) -> tuple[str, ...]:
        """After a move: environments for what answers now and for the way back. Warnings, no errors."""
        if base is None:
            return ()
        try:
            keep = kept_warm(self, model, base) if base.provisioned else []
        except SwitchyardError as error:
            return (f"which environments of `{model}` are kept started is not up to date: {error}",)
        return self.warm(model).settle(keep, base.provisioned)
