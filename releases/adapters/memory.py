"""Lambda in memory: obeys the laws of ``releases.ports.Functions``, and can have a bad day.

Ships with the package so that tests and notebooks exercise the real controller. ``answer`` plays the
deployed code: it is given a version's environment and an event, as the inference function would be.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from releases.errors import DisagreementError, LostRaceError, NotDeployedError
from releases.ports import LATEST, AliasState, Concurrency, FunctionConfig, Invocation, Provisioned

Answer = Callable[[FunctionConfig, dict[str, Any]], Any]


@dataclass(slots=True)
class _Function:
    latest: FunctionConfig
    versions: dict[str, FunctionConfig] = field(default_factory=dict)
    aliases: dict[str, AliasState] = field(default_factory=dict)
    provisioned: dict[str, Provisioned] = field(default_factory=dict)
    revisions: int = 0
    published: int = 0

    def next_number(self) -> int:
        """A number is never used again, also when its version is deleted."""
        self.published += 1
        return self.published

    def next_revision(self) -> str:
        self.revisions += 1
        return f"revision-{self.revisions}"


class MemoryFunctions:
    """``releases.ports.Functions`` without AWS.

    ``settle_reads`` is the bad day: after ``configure`` the next so many reads still say InProgress,
    and the revision changes once more when the update settles, as Lambda's does.
    """

    def __init__(
        self, answer: Answer, *, settle_reads: int = 0, now: Callable[[], float] = time.time
    ) -> None:
        self._answer = answer
        self.now = now
        self._settle_reads = settle_reads
        self._functions: dict[str, _Function] = {}
        self._settling: dict[str, int] = {}
        self._layers: dict[str, bytes] = {}
        self._made: dict[str, float] = {}
        self._layer_numbers: dict[str, int] = {}
        self._concurrency = Concurrency(account=1_000, unreserved=1_000)
        self._lock = threading.RLock()

    def deploy(self, function: str, **settings: Any) -> FunctionConfig:
        """What CloudFormation does: create the function, or set ``$LATEST`` to other settings."""
        with self._lock:
            if function not in self._functions:
                config = FunctionConfig(
                    function=function,
                    version=LATEST,
                    revision="revision-0",
                    code_sha256="code-1",
                    layers=("arn:layer:runtime:1",),
                    environment={},
                    memory_mb=512,
                    timeout_s=10,
                    runtime="python3.13",
                    handler="functions.inference.handler.handler",
                    role="arn:role",
                    architecture="x86_64",
                )
                self._functions[function] = _Function(replace(config, **settings))
                return self._functions[function].latest
            found = self._functions[function]
            found.latest = replace(found.latest, **settings, revision=found.next_revision())
            return found.latest

    def delete(self, function: str, version: str | None = None) -> None:
        """What a person does in the console: delete a version, or the whole function."""
        with self._lock:
            if version is None:
                del self._functions[function]
            else:
                del self._functions[function].versions[version]

    def fail_version(self, function: str, version: str, *, state: str, reason: str = "") -> None:
        """Put a published version into another state, as Lambda does on its own."""
        with self._lock:
            found = self._functions[function]
            found.versions[version] = replace(found.versions[version], state=state, state_reason=reason)

    def config(self, function: str, qualifier: str | None = None) -> FunctionConfig | None:
        with self._lock:
            found = self._functions.get(function)
            if found is None:
                return None
            if qualifier not in (None, LATEST):
                return found.versions.get(str(qualifier))
            left = self._settling.get(function, 0)
            if left:
                self._settling[function] = left - 1
                if left == 1:
                    found.latest = replace(found.latest, revision=found.next_revision())
                return replace(found.latest, update="InProgress")
            return found.latest

    def configure(
        self, function: str, *, layers: tuple[str, ...], environment: dict[str, str], revision: str
    ) -> None:
        with self._lock:
            found = self._existing(function)
            if self._settling.get(function, 0) or found.latest.revision != revision:
                raise LostRaceError(f"the function `{function}` was changed by somebody else meanwhile")
            found.latest = replace(
                found.latest,
                layers=tuple(layers),
                environment=dict(environment),
                revision=found.next_revision(),
            )
            self._settling[function] = self._settle_reads

    def publish(self, function: str, *, description: str, code_sha256: str, revision: str) -> FunctionConfig:
        del description  # kept by Lambda, read by nobody
        with self._lock:
            found = self._existing(function)
            if found.latest.revision != revision or found.latest.code_sha256 != code_sha256:
                raise LostRaceError(f"the function `{function}` was changed by somebody else meanwhile")
            numbers = sorted(int(number) for number in found.versions)
            newest = found.versions[str(numbers[-1])] if numbers else None
            if newest and _content(newest) == _content(found.latest):
                return newest
            number = str(found.next_number())
            published = replace(
                found.latest,
                version=number,
                revision=found.next_revision(),
                environment=dict(found.latest.environment),
            )
            found.versions[number] = published
            self._made[f"{function}:{number}"] = self.now()
            return published

    def published(self, function: str) -> list[tuple[FunctionConfig, float]]:
        """Every published version, oldest first, and when it was."""
        with self._lock:
            found = self._functions.get(function)
            held = found.versions.items() if found else ()
            return [
                (config, self._made[f"{function}:{number}"])
                for number, config in sorted(held, key=lambda item: int(item[0]))
            ]

    def publish_layer(self, name: str, archive: bytes, *, description: str, architecture: str) -> str:
        del description, architecture
        with self._lock:
            number = self._layer_numbers[name] = self._layer_numbers.get(name, 0) + 1
            arn = f"arn:layer:{name}:{number}"
            self._layers[arn] = archive
            self._made[arn] = self.now()
            return arn

    def layers(self, name: str) -> list[tuple[str, float]]:
        """The versions of a layer, and when each was published."""
        with self._lock:
            held = [arn for arn in self._layers if arn.rpartition(":")[0] == f"arn:layer:{name}"]
            return [(arn, self._made[arn]) for arn in held]

    def delete_layer(self, arn: str) -> None:
        """What a person does in the console: functions that carry it go on."""
        with self._lock:
            self._layers.pop(arn, None)

    def layer_exists(self, arn: str) -> bool:
        return arn in self._layers

    def layer(self, arn: str) -> bytes:
        """The bytes of a layer, for the code that ``answer`` plays."""
        return self._layers[arn]

    def alias(self, function: str, alias: str) -> AliasState | None:
        with self._lock:
            found = self._functions.get(function)
            state = found.aliases.get(alias) if found else None
            return copy.deepcopy(state)

    def aliases(self, function: str) -> list[AliasState]:
        with self._lock:
            found = self._functions.get(function)
            return copy.deepcopy(list(found.aliases.values())) if found else []

    def create_alias(self, function: str, alias: str, *, version: str, note: str) -> AliasState:
        with self._lock:
            found = self._existing(function)
            if alias in found.aliases:
                raise LostRaceError(f"the alias `{alias}` of `{function}` exists already")
            self._must_exist(found, version)
            found.aliases[alias] = AliasState(function, alias, version, found.next_revision(), note)
            return found.aliases[alias]

    def move_alias(self, function: str, alias: str, *, version: str, note: str, revision: str) -> AliasState:
        with self._lock:
            found = self._existing(function)
            state = found.aliases.get(alias)
            if state is None:
                raise NotDeployedError(f"the alias `{alias}` of `{function}` does not exist")
            if state.revision != revision:
                raise LostRaceError(f"the alias `{alias}` of `{function}` was changed by somebody else")
            self._must_exist(found, version)
            found.aliases[alias] = AliasState(function, alias, version, found.next_revision(), note)
            return found.aliases[alias]

    def weigh_alias(
        self, function: str, alias: str, *, weights: dict[str, float], note: str, revision: str
    ) -> AliasState:
        with self._lock:
            found = self._existing(function)
            state = found.aliases.get(alias)
            if state is None:
                raise NotDeployedError(f"the alias `{alias}` of `{function}` does not exist")
            if state.revision != revision:
                raise LostRaceError(f"the alias `{alias}` of `{function}` was changed by somebody else")
            for version in weights:
                self._must_exist(found, version)
            found.aliases[alias] = AliasState(
                function, alias, state.version, found.next_revision(), note, dict(weights)
            )
            return found.aliases[alias]

    def meddle(self, function: str, alias: str, **changes: Any) -> None:
        """What a person does in the console: change an alias past the controller."""
        with self._lock:
            found = self._existing(function)
            found.aliases[alias] = replace(found.aliases[alias], **changes, revision=found.next_revision())

    def limit(self, concurrency: Concurrency) -> None:
        """What the account allows from now on."""
        self._concurrency = concurrency

    def concurrency(self, function: str) -> Concurrency:
        with self._lock:
            self._existing(function)
            return self._concurrency

    def provision(self, function: str, version: str, executions: int) -> None:
        with self._lock:
            found = self._existing(function)
            self._must_exist(found, version)
            if found.versions[version].snap_start != "None":
                raise DisagreementError(f"version {version} of `{function}` has SnapStart")
            state = "FAILED" if executions > self._concurrency.unreserved else "READY"
            reason = "FUNCTION_ERROR_INIT_FAILURE" if state == "FAILED" else ""
            found.provisioned[version] = Provisioned(version, executions, state, reason)

    def unprovision(self, function: str, version: str) -> None:
        with self._lock:
            self._existing(function).provisioned.pop(version, None)

    def provisioned(self, function: str) -> dict[str, Provisioned]:
        with self._lock:
            return dict(self._existing(function).provisioned)

    def invoke(self, function: str, qualifier: str, event: dict[str, Any]) -> Invocation:
        with self._lock:
            found = self._existing(function)
            state = found.aliases.get(qualifier)
            number = state.version if state else qualifier
            if number != LATEST:
                self._must_exist(found, number)
            version = found.latest if number == LATEST else found.versions[number]
            if version.state == "Inactive":
                found.versions[number] = replace(version, state="Active")
                return Invocation({}, number, error="the function is being activated")
        try:
            return Invocation(self._answer(version, event), number)
        except Exception as error:  # noqa: BLE001  # whatever the played code raises is its failure
            return Invocation({}, number, error=f"{type(error).__name__}: {error}", log=(repr(error),))

    def _existing(self, function: str) -> _Function:
        if function not in self._functions:
            raise NotDeployedError(f"the function `{function}` does not exist")
        return self._functions[function]

    def _must_exist(self, found: _Function, version: str) -> None:
        if version not in found.versions:
            raise NotDeployedError(f"version {version} of `{found.latest.function}` does not exist")


def _content(config: FunctionConfig) -> FunctionConfig:
    return replace(config, version="", revision="", state="", state_reason="")
