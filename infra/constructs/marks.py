"""What marks releases on CloudWatch's pages: a function that they ask whenever somebody looks."""

from __future__ import annotations

from dataclasses import dataclass

from constructs import Construct

from infra.bundles import Tree
from infra.constructs.python_function import PythonFunction, PythonFunctionProps
from model_store.contract.deployment import marks_function_name
from model_store.contract.environment import BUCKET, STAGE

HANDLER = "functions.marks.handler.handler"
TIMEOUT_S = 30
MEMORY_MB = 512
"""A ledger of ten thousand lines is some megabytes; the processor that comes with it draws in a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarksProps:
    """``bucket`` is the model store, where the ledgers are."""

    stage: str
    bucket: str
    code: Tree
    log_retention_days: int


class Marks(Construct):
    """``function``; the stack says what it may read. Nothing is allowed to call it but people, by role."""

    def __init__(self, scope: Construct, id_: str, *, props: MarksProps) -> None:
        super().__init__(scope, id_)
        self.function = PythonFunction(
            self,
            "Function",
            props=PythonFunctionProps(
                name=marks_function_name(props.stage),
                description="Marks on CloudWatch's pages who moved which alias when",
                handler=HANDLER,
                code=props.code,
                memory_mb=MEMORY_MB,
                timeout_s=TIMEOUT_S,
                log_retention_days=props.log_retention_days,
                keep=False,
                environment={STAGE: props.stage, BUCKET: props.bucket},
            ),
        )
