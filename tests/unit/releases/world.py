"""A stage in memory: the shipped fakes, a deployed model, and code that plays the inference function."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from model_store.adapters.memory import MemoryStore
from model_store.adapters.memory_keys import MemoryKeys
from model_store.contract import environment as env
from model_store.contract.deployment import function_name
from model_store.contract.digest import Digest
from model_store.contract.keys import blob_key, manifest_key
from model_store.contract.manifest import ArtifactFile, Golden, Manifest
from model_store.contract.names import ByVersion
from model_store.contract.placement import DEFAULT_EPHEMERAL_MB
from model_store.contract.tensors import TensorData, TensorSpec
from model_store.ports import ObjectStore
from model_store.signatures import sign
from releases.adapters.memory import MemoryFunctions
from releases.adapters.memory_executions import MemoryExecutions
from releases.adapters.memory_journal import MemoryJournal
from releases.adapters.memory_monitoring import MemoryMonitoring
from releases.controller import Controller
from releases.deploy import Deploy
from releases.health import Served
from releases.ports import Executions, FunctionConfig, Functions, Monitoring
from releases.rebase import DeployedModel
from releases.shifting import Shifting
from releases.shifts import Shift
from releases.stage import Stage
from releases.status import AliasStatus, status

STAGE = "test"


class StillClock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 1_790_000_000.0

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def respond(config: FunctionConfig, status: int, body: dict[str, Any]) -> dict[str, Any]:
    headers = {"content-type": "application/json"}
    if version := config.environment.get(env.VERSION):
        headers[env.MODEL_HEADER] = f"{config.environment[env.MODEL]}:{version}"
        headers[env.DIGEST_HEADER] = config.environment[env.DIGEST]
    return {"statusCode": status, "headers": headers, "body": json.dumps(body), "isBase64Encoded": False}


def tensor(name: str, *data: float) -> TensorData:
    return TensorData(name, "FP32", (len(data),), data)


@dataclass
class World:
    """One stage with one store and one Lambda, and the controller that people use on it."""

    functions: MemoryFunctions
    store: MemoryStore = field(default_factory=MemoryStore)
    clock: StillClock = field(default_factory=StillClock)
    said: list[str] = field(default_factory=list)
    memory_mb: int = 512
    runtime: str = "plain"
    ephemeral_mb: int | None = None
    """As in the catalog: with it, the model may be read from the store at start."""
    code: str = "code-1"
    executions: MemoryExecutions = field(default_factory=MemoryExecutions)
    signed_by: str | None = None
    """As in the catalog: the one key whose signature a release asks for."""

    def __post_init__(self) -> None:
        self.monitoring = MemoryMonitoring(self.clock)
        self.functions.now = self.clock.now
        self.journal = MemoryJournal(self.clock)

    def stage(
        self,
        *,
        by: str = "ann",
        store: ObjectStore | None = None,
        functions: Functions | None = None,
        monitoring: Monitoring | None = None,
        executions: Executions | None = None,
    ) -> Stage:
        return Stage(
            STAGE,
            store or self.store,
            functions or self.functions,
            self.clock,
            by=by,
            say=self.said.append,
            monitoring=monitoring or self.monitoring,
            executions=executions or self.executions,
            journal=self.journal,
            keys=MemoryKeys("ours", "theirs") if self.signed_by else None,
            signed_by=self.signed_by,
        )

    def sign(self, version: int, key: str = "ours") -> None:
        """Let a key sign a version of ``digits``."""
        ref = ByVersion("digits", version)
        sign(self.store, ref, MemoryKeys("ours", "theirs"), key, by="ann", at="2026-11-22T17:00:00Z")

    def shifting(self, *, by: str = "ann") -> Shifting:
        return Shifting(self.stage(by=by))

    def begin(
        self, version: int = 2, *shares: float, bake_s: float = 120, min_requests: int = 30, **more: Any
    ) -> Shift:
        """Ask for a shift of ``digits``; nothing has happened yet but the asking."""
        begun = self.shifting().begin(
            ByVersion("digits", version),
            shares=shares or (0.05, 0.5),
            bake_s=bake_s,
            min_requests=min_requests,
            **more,
        )
        assert begun is not None
        return begun.shift

    def drive(self, shift: Shift, between: Callable[[dict[str, Any]], None] = lambda _: None) -> str:
        """Run the shift's execution as the state machine does; the last state says how it ended."""
        step = Shifting(self.stage(by=shift.by)).step
        return str(self.executions.drive(shift.id, step, self.clock, between=between)["next"])

    def traffic(
        self, count: int, *, errors: int = 0, faults: int = 0, latency_ms: float = 5.0, weighted: bool = True
    ) -> None:
        """Count what the version with a share of ``live`` (or the one that serves) did just now."""
        state = self.functions.alias(function_name(STAGE, "digits"), "live")
        assert state is not None
        version = next(iter(state.weights), state.version)
        config = self.functions.config(state.function, version)
        served = Served(
            STAGE,
            state.function,
            "live",
            version,
            "digits",
            int(config.environment[env.VERSION] if config else 0),
            weighted=weighted,
        )
        self.monitoring.record(served.of_lambda("Invocations"), *[1.0] * count)
        self.monitoring.record(served.of_lambda("Errors"), *[1.0] * errors)
        answers = [*[1.0] * faults, *[0.0] * (count - errors - faults)]
        self.monitoring.record(served.of_ours(env.FAULTS_METRIC), *answers)
        self.monitoring.record(served.of_ours(env.LATENCY_METRIC), *[latency_ms] * count)

    def controller(self, *, by: str = "ann") -> Controller:
        return Controller(self.stage(by=by))

    def status(self) -> AliasStatus:
        return status(self.stage(), "digits")

    def publish(self, version: int, model: str = "digits", **changes: Any) -> ByVersion:
        """Store a version whose every answer is its own number; ``changes`` are fields of its manifest."""
        data = f"{model} {version}".encode()
        digest = Digest.of(data)
        manifest = Manifest(
            model=model,
            version=version,
            files=(ArtifactFile("model.onnx", digest, len(data)),),
            entry="model.onnx",
            inputs=(TensorSpec("x", "FP32", ("batch",)),),
            outputs=(TensorSpec("y", "FP32", ("batch",)),),
            golden=Golden((tensor("x", 1.0),), (tensor("y", float(version)),)),
            created_at="2026-11-22T00:00:00Z",
            created_by="ann",
        )
        manifest = replace(manifest, **changes)
        self.store.put_once(blob_key(digest), data)
        self.store.put_once(manifest_key(model, version), manifest.to_json())
        return manifest.ref

    def publish_large(self, version: int, size: int = 200_000_000, *, path: str = "w.bin") -> ByVersion:
        """Store a version that says it has a file of ``size`` bytes, which nothing in memory ever reads."""
        large = ArtifactFile(path, Digest.of(f"{version} {path}".encode()), size)
        graph = ArtifactFile("model.onnx", Digest.of(f"digits {version}".encode()), 1000)
        return self.publish(version, files=(graph, large))

    def declared(self, model: str = "digits", **changes: Any) -> DeployedModel:
        made_of = f"{self.code}-{self.memory_mb}-{self.runtime}-{self.ephemeral_mb}"
        return DeployedModel(model, made_of, **changes)

    def deploy(self, *models: str, rebase: bool = True, **changes: Any) -> None:
        """What ``cdk deploy --all`` does: functions, then aliases and bases, then the rollout."""
        names = models or ("digits",)
        for model in names:
            environment = {env.MODEL: model, env.STAGE: STAGE}
            if self.runtime != "plain":
                environment[env.RUNTIME] = self.runtime
            if self.ephemeral_mb:
                environment[env.BUCKET] = "store"
            layers = ("arn:layer:runtime:1",)
            self.functions.deploy(
                function_name(STAGE, model),
                memory_mb=self.memory_mb,
                ephemeral_mb=self.ephemeral_mb or DEFAULT_EPHEMERAL_MB,
                code_sha256=self.code,
                layers=layers,
                environment=environment,
            )
            Deploy(self.stage(by="cdk")).declare(
                self.declared(model, **changes), layers=layers, environment=environment
            )
        if rebase:
            Deploy(self.stage(by="cdk")).rebase([self.declared(model, **changes) for model in names])

    def ask(self, model: str = "digits", qualifier: str = "live") -> tuple[int, str]:
        """What a caller of the alias gets: the status, and the model version that answered."""
        event = {"rawPath": f"/v2/models/{model}/infer"}
        answer = self.functions.invoke(function_name(STAGE, model), qualifier, event).payload
        return answer["statusCode"], answer["headers"].get(env.MODEL_HEADER, "")

    def live_memory_mb(self, model: str = "digits") -> int:
        function = function_name(STAGE, model)
        state = self.functions.alias(function, "live")
        assert state is not None
        config = self.functions.config(function, state.version)
        assert config is not None
        return config.memory_mb


Play = Callable[[FunctionConfig, dict[str, Any]], Any]


def honest(config: FunctionConfig, event: dict[str, Any]) -> dict[str, Any]:
    """The inference function as it should be: version 7 answers 7."""
    version = config.environment.get(env.VERSION)
    if version is None:
        return respond(config, 503, {"error": "no version of digits is released yet"})
    if event["rawPath"].endswith("/ready"):
        return respond(config, 200, {"ready": True})
    return respond(config, 200, {"outputs": [tensor("y", float(version)).as_json()]})


class Around:
    """The fake Lambda, with something happening just before or after calls that are named."""

    def __init__(
        self,
        inner: Any,
        *,
        before: Callable[[str], None] = lambda _: None,
        after: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._inner = inner
        self._before = before
        self._after = after

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._inner, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self._before(name)
            answer = call(*args, **kwargs)
            self._after(name)
            return answer

        return wrapped
