"""A stage in memory whose model ``digits`` runs on endpoints: what ``cdk deploy`` and ``yard provision``
leave."""

from __future__ import annotations

from typing import Any

from model_store.contract import environment as env
from model_store.contract.deployment import function_name
from model_store.contract.endpoints import endpoint_name
from model_store.contract.names import ByVersion
from model_store.versions import load_manifest
from releases.adapters.memory import MemoryFunctions
from releases.adapters.memory_endpoints import MemoryEndpoints
from releases.adapters.memory_grpc_calls import MemoryGrpcCalls
from releases.deploy import Deploy
from releases.ports import FunctionConfig
from releases.stage import Stage
from tests.unit.releases.world import STAGE, World, honest, respond

CONFIGURATION = "0123abcd"


class HeavyWorld(World):
    """``endpoints`` are provisioned by hand; the gateway answers as long as its endpoint is there."""

    def __init__(self, *, reads_until_ready: int = 0, target: str = "sagemaker") -> None:
        self.target = target
        self.grpc = MemoryGrpcCalls()
        self.endpoints = MemoryEndpoints(reads_until_ready=reads_until_ready)
        self.configuration = CONFIGURATION
        self.own_image = False
        self.floor = 1
        super().__init__(MemoryFunctions(self.gateway))

    def gateway(self, config: FunctionConfig, event: dict[str, Any]) -> Any:
        pinned = config.environment.get(env.ENDPOINT)
        state = self.endpoints.describe(pinned) if pinned else None
        if pinned and (state is None or state.status != "InService"):
            return respond(config, 503, {"error": "the endpoint of this version does not exist"})
        return honest(config, event)

    def stage(self, **more: Any) -> Stage:
        by = more.pop("by", "ann")
        return Stage(
            STAGE,
            self.store,
            more.pop("functions", None) or self.functions,
            self.clock,
            by=by,
            say=self.said.append,
            monitoring=self.monitoring,
            executions=self.executions,
            endpoints={self.target: more.pop("endpoints", None) or self.endpoints},
            grpc=self.grpc,
        )

    def deploy(self, *models: str, rebase: bool = True, **changes: Any) -> None:
        del models
        environment = {
            env.MODEL: "digits",
            env.STAGE: STAGE,
            env.TARGET: self.target,
            env.ENDPOINT_CONFIGURATION: self.configuration,
            **({env.OWN_IMAGE: "on"} if self.own_image else {}),
            **({env.ENDPOINT_FLOOR: str(self.floor)} if self.floor > 1 else {}),
        }
        layers = ("arn:layer:runtime:1",)
        self.functions.deploy(
            function_name(STAGE, "digits"),
            memory_mb=self.memory_mb,
            code_sha256=self.code,
            layers=layers,
            environment=environment,
        )
        deploy = Deploy(self.stage(by="cdk"))
        deploy.declare(self.declared(**changes), layers=layers, environment=environment)
        if rebase:
            deploy.rebase([self.declared(**changes)])

    def endpoint(self, version: int) -> str:
        digest = load_manifest(self.store, ByVersion("digits", version)).digest
        return endpoint_name(STAGE, "digits", version, digest, self.configuration)

    def provision(self, *versions: int, **settings: Any) -> None:
        """What the deploy of a stack with these versions leaves."""
        for version in versions:
            manifest = load_manifest(self.store, ByVersion("digits", version))
            told = {env.MODEL: "digits", env.VERSION: str(version), env.DIGEST: str(manifest.digest)}
            self.endpoints.make(self.endpoint(version), told, **settings)
            if self.target == "ec2":
                self.grpc.carry("digits", self.endpoint(version))
