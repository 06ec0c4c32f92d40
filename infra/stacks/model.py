"""One model on Lambda: its function and what stands under it. What is live is not in here.

Law 4: the template holds no alias and no version. ``Custom::SwitchyardModel`` makes sure that the
aliases exist, and hands the *base* (the configuration a release builds on) to the controller.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_ssm as ssm
from constructs import Construct, IDependable

from catalog.schema import Model, Stage, moves_in_waves
from dashboards.boards import model_board
from infra.acknowledged import (
    acknowledge_last_queues,
    acknowledge_runtime,
    acknowledge_snapstart,
    acknowledge_tracing,
    acknowledge_wildcards,
)
from infra.bundles import Tree
from infra.constructs.model_alarms import ModelAlarms, ModelAlarmsProps
from infra.constructs.model_queues import ModelQueues
from infra.constructs.python_function import ROLE_PATH, RUNTIME, PythonFunction, PythonFunctionProps
from infra.constructs.runtime_layer import RuntimeLayer
from infra.constructs.saved_queries import SavedQueries
from infra.pages import shown_model
from infra.preflight import check_environment, check_machine, check_size, warn_of_slow_start
from infra.stacks.stage_stack import StageStack
from model_store.contract.capture import captured_prefix
from model_store.contract.deployment import (
    DEFAULT_ALIAS,
    alarm_topic_name,
    bucket_key_parameter,
    bucket_parameter,
    capture_bucket_parameter,
    capture_key_parameter,
    function_name,
    handoff_bucket_parameter,
    handoff_key_parameter,
    inbox_bucket_parameter,
    inbox_key_parameter,
    marks_function_name,
    model_dashboard_name,
    queries_prefix,
    runtime_layer_name,
    shadow_alias,
)
from model_store.contract.environment import (
    ANSWERS_QUEUE,
    BUCKET,
    CAPTURE,
    CAPTURE_BUCKET,
    EXPLAIN,
    HANDOFF_BUCKET,
    MAX_BATCH,
    MODEL,
    STAGE,
    TIMEOUT,
)
from model_store.contract.environment import RUNTIME as RUNTIME_VARIABLE
from model_store.contract.keys import BLOBS_PREFIX, versions_prefix

REQUESTS, ANSWERS = "requests/", "answers/"
"""As the function has it (``functions.inference.doors.objects``)."""

MESSAGES_AT_ONCE = 10
"""SQS's default batch, and what one call of ReceiveMessage fetches."""

HANDLER = "functions.inference.handler.handler"

WHY_WILDCARD = "Versions are numbered as they are released; the prefix is this function's own"


class ModelStack(StageStack):
    """The function of ``model``. Its ``fingerprint`` changes exactly when its base does.

    A kind of model that needs more behind its function adds it in ``_told`` and ``_behind``.
    """

    handler = HANDLER
    does = "Serves"

    def __init__(
        self, scope: Construct, *, stage: Stage, model: Model, code: Tree, runtime_layer: Tree
    ) -> None:
        super().__init__(
            scope,
            stage=stage,
            concern=f"Model-{model.name}",
            description=f"Switchyard {stage.name}: the function that serves {model.name}",
            stateful=True,
            model=model.name,
        )
        check_machine(model, runtime_layer)
        self.left_bytes = check_size(model.name, runtime_layer, code)
        self.model = model
        name = function_name(stage.name, model.name)
        # What only the deploy knows, by the name that stands for it in the fingerprint.
        bucket = self._parameter(handoff_bucket_parameter) if model.handoff else None
        store = self._parameter(bucket_parameter) if model.ephemeral_mb else None
        takes_messages = model.queue or model.inbox
        queues = ModelQueues(self, "Queues", timeout_s=model.timeout_s) if takes_messages else None
        capture = self._parameter(capture_bucket_parameter) if model.captures else None
        later: dict[str, str | None] = {
            BUCKET: store,
            CAPTURE_BUCKET: capture,
            HANDOFF_BUCKET: bucket,
            ANSWERS_QUEUE: queues.answers.queue_url if queues else None,
        }
        known = {**_environment(stage, model), **self._told()}
        later |= self._told_later()
        environment = check_environment(
            name, {**known, **{variable: value for variable, value in later.items() if value is not None}}
        )
        layer = RuntimeLayer(
            self,
            "Runtime",
            name=runtime_layer_name(stage.name, model.name),
            tree=runtime_layer,
            architecture=model.architecture,
            keep=stage.keep_data,
        )
        inference = PythonFunction(
            self,
            "Inference",
            props=PythonFunctionProps(
                name=name,
                description=f"{self.does} {model.name}; the release controller owns its versions and aliases",
                handler=self.handler,
                code=code,
                layers=(layer.layer,),
                memory_mb=model.memory_mb,
                timeout_s=model.timeout_s,
                log_retention_days=stage.log_retention_days,
                # Its published versions are what a rollback needs: they outlive the stack.
                keep=stage.keep_data,
                environment=environment,
                architecture=model.architecture,
                snapstart=model.snapstart,
                tracing=model.tracing,
                ephemeral_mb=model.ephemeral_mb,
                subnets=self._joined()[0],
                security_groups=self._joined()[1],
            ),
        )
        inference.log_group.grant_write(inference.role)
        SavedQueries(self, "Queries", prefix=queries_prefix(stage.name, model.name), log=inference.log_group)
        if bucket is not None:
            self._let_pass_payloads(inference, bucket)
        if capture is not None:
            self._let_keep_requests(inference, capture)
        if store is not None:
            self._let_read_versions(inference, store)
            self._say_if_slow()
        if queues is not None:
            self._let_answer_messages(inference, queues)
            if model.inbox:
                self._let_answer_objects(inference, queues)
        for statement in self._asking_siblings(name):
            inference.role.add_to_policy(statement)
            acknowledge_wildcards(inference.role, statement, WHY_WILDCARD)
        if model.tracing:
            acknowledge_tracing(inference.role)
        acknowledge_runtime(inference)
        if model.snapstart:
            acknowledge_snapstart(inference.function)

        literals: dict[str, Any] = {
            "Environment": environment,
            "MemorySize": model.memory_mb,
            "Timeout": model.timeout_s,
            "Runtime": RUNTIME.name,
            "Handler": self.handler,
            "Architecture": model.architecture,
            "SnapStart": model.snapstart,
            "Code": code.digest,
        }
        if model.ephemeral_mb:
            literals["EphemeralStorage"] = model.ephemeral_mb
        self.fingerprint = _fingerprint(
            {
                **literals,
                # No part of what a release sets: it stays on $LATEST. What is live is released on it.
                **({"Tracing": "Active"} if model.tracing else {}),
                "Environment": {**known, **{name: "" for name, value in later.items() if value is not None}},
                "Layers": [runtime_layer.digest],
                "RolePath": ROLE_PATH,
            }
        )
        released = self.custom_resource(
            "Releases",
            type_="Custom::SwitchyardModel",
            properties={
                "Stage": stage.name,
                **self.rollout(),
                "Base": {
                    **literals,
                    "Layers": [layer.layer.layer_version_arn],
                    "Role": inference.role.role_arn,
                },
            },
        )
        released.node.add_dependency(inference)
        if queues is not None:
            self._take_messages(queues, after=(inference, released))
        cdk.CfnOutput(self, "FunctionName", value=name, description=f"{self.does} {model.name}")
        cdk.CfnOutput(
            self, "Base", value=self.fingerprint, description="Fingerprint of the configuration it runs on"
        )
        self._behind(inference, released)
        self._watch()
        self._show()

    def _watch(self) -> None:
        """Tell people when it is not well. The topic is known by its name."""
        ModelAlarms(
            self,
            "Alarms",
            props=ModelAlarmsProps(
                stage=self.stage.name,
                model=self.model.name,
                aliases=self.model.aliases,
                timeout_s=self.model.timeout_s,
                alarms=self.model.alarms,
                period_s=self.stage.alarm_period_s,
                topic=self.format_arn(service="sns", resource=alarm_topic_name(self.stage.name)),
            ),
        )

    def _show(self) -> None:
        """The page of this model. It names no version: whatever answers is searched for (law 4)."""
        shown = shown_model(self.stage.name, self.model)
        cloudwatch.CfnDashboard(
            self,
            "Dashboard",
            dashboard_name=model_dashboard_name(self.stage.name, self.model.name),
            dashboard_body=self.to_json_string(
                model_board(
                    shown,
                    region=self.region,
                    alarm_arn=self.alarm_arn(""),
                    marks_arn=self.function_arn(marks_function_name(self.stage.name)),
                )
            ),
        )

    def rollout(self) -> dict[str, Any]:
        """This model as the controller is told of it, when it is declared and when it is rolled out."""
        return {
            "Model": self.model.name,
            "FunctionName": function_name(self.stage.name, self.model.name),
            "Fingerprint": self.fingerprint,
            "Aliases": list(self.model.aliases),
            "RollbackDepth": self.model.rollback_depth,
            "ProvisionedConcurrency": self.model.provisioned_concurrency,
            **({"Waves": "true"} if moves_in_waves(self.stage, self.model) else {}),
        }

    def _told(self) -> dict[str, str]:
        """What its function is told besides what every function is; part of the base."""
        return {}

    def _told_later(self) -> dict[str, str]:
        """The same, of what only the deploy knows."""
        return {}

    def _joined(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Subnets and security groups of its function; none where it needs no network of the account."""
        return (), ()

    def _behind(self, inference: PythonFunction, released: cdk.CustomResource) -> None:  # noqa: ARG002
        """Declare what stands behind the function. On Lambda that is the model itself."""
        cdk.CfnOutput(
            self,
            "ModelBytes",
            value=str(self.left_bytes),
            description="What a version may take unzipped, in bytes",
        )

    def _asking_siblings(self, name: str) -> tuple[iam.PolicyStatement, ...]:
        """Hand a call that pins a version to the version's own alias, and say which there are.

        Only this function's, and only the aliases ``v1``, ``v2`` …: not ``$LATEST``, not a bare number,
        and no other model. The aliases of shadows too, for a version that mirrors.
        """
        return (
            iam.PolicyStatement(
                sid="AskSiblings",
                actions=["lambda:InvokeFunction"],
                resources=[self.function_arn(name, "v*")],
            ),
            iam.PolicyStatement(
                sid="AskShadow",
                actions=["lambda:InvokeFunction"],
                resources=[self.function_arn(name, shadow_alias("*"))],
            ),
            iam.PolicyStatement(
                sid="NameSiblings", actions=["lambda:ListAliases"], resources=[self.function_arn(name)]
            ),
        )

    def _parameter(self, parameter: Callable[[str], str]) -> str:
        """Read from the parameter when this stack is deployed: an export in use could not change."""
        return ssm.StringParameter.value_for_string_parameter(self, parameter(self.stage.name))

    def _let_pass_payloads(self, inference: PythonFunction, bucket: str) -> None:
        """Let the function sign addresses and use them itself, under its own model's prefix only."""
        passing = iam.PolicyStatement(
            sid="PassPayloads",
            actions=["s3:GetObject", "s3:PutObject"],
            resources=[f"arn:{self.partition}:s3:::{bucket}/{self.model.name}/*"],
        )
        inference.role.add_to_policy(passing)
        acknowledge_wildcards(
            inference.role, passing, "Payloads get random names as they come, under this model's own prefix"
        )
        self._let_use_key(inference, "UseTheKeyThroughS3", self._parameter(handoff_key_parameter))

    def _let_keep_requests(self, inference: PythonFunction, bucket: str) -> None:
        """Let the function write what it captures, under its model's prefix; it reads none of it back."""
        keeping = iam.PolicyStatement(
            sid="KeepRequests",
            actions=["s3:PutObject"],
            resources=[f"arn:{self.partition}:s3:::{bucket}/{captured_prefix(self.model.name)}*"],
        )
        inference.role.add_to_policy(keeping)
        acknowledge_wildcards(
            inference.role, keeping, "Files are named by version, hour and environment as they come"
        )
        inference.role.add_to_policy(
            iam.PolicyStatement(
                sid="EncryptRequestsThroughS3",
                actions=["kms:GenerateDataKey"],
                resources=[self._parameter(capture_key_parameter)],
                conditions={"StringEquals": {"kms:ViaService": f"s3.{self.region}.{self.url_suffix}"}},
            )
        )

    def _let_use_key(self, inference: PythonFunction, sid: str, key: str) -> None:
        inference.role.add_to_policy(
            iam.PolicyStatement(
                sid=sid,
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                resources=[key],
                conditions={"StringEquals": {"kms:ViaService": f"s3.{self.region}.{self.url_suffix}"}},
            )
        )

    def _let_answer_objects(self, inference: PythonFunction, queues: ModelQueues) -> None:
        """Read requests and write answers, each under this model's prefix, and hear of the former.

        EventBridge puts what it hears from the bucket into the model's own queue, from which the live version
        takes messages: an object has the queue's three attempts, and its last place.
        """
        bucket = self._parameter(inbox_bucket_parameter)
        objects = f"arn:{self.partition}:s3:::{bucket}"
        why = "Requests are named by who puts them there, under this model's own prefix"
        for sid, action, prefix in (
            ("ReadRequests", "s3:GetObject", REQUESTS),
            ("WriteAnswers", "s3:PutObject", ANSWERS),
        ):
            statement = iam.PolicyStatement(
                sid=sid, actions=[action], resources=[f"{objects}/{prefix}{self.model.name}/*"]
            )
            inference.role.add_to_policy(statement)
            acknowledge_wildcards(inference.role, statement, why)
        self._let_use_key(inference, "UseTheInboxKeyThroughS3", self._parameter(inbox_key_parameter))
        rule = events.CfnRule(
            self,
            "HearOfObjects",
            description=f"Requests put into the inbox for {self.model.name} go to its queue",
            event_pattern={
                "source": ["aws.s3"],
                "detail-type": ["Object Created"],
                "detail": {
                    "bucket": {"name": [bucket]},
                    "object": {"key": [{"prefix": f"{REQUESTS}{self.model.name}/"}]},
                },
            },
            targets=[
                events.CfnRule.TargetProperty(
                    id="Requests",
                    arn=queues.requests.queue_arn,
                    dead_letter_config=events.CfnRule.DeadLetterConfigProperty(
                        arn=queues.dead_letters.queue_arn
                    ),
                )
            ],
        )
        for queue in (queues.requests, queues.dead_letters):
            queue.add_to_resource_policy(
                iam.PolicyStatement(
                    sid="HearOfObjects",
                    principals=[iam.ServicePrincipal("events.amazonaws.com")],
                    actions=["sqs:SendMessage"],
                    resources=[queue.queue_arn],
                    conditions={"ArnEquals": {"aws:SourceArn": rule.attr_arn}},
                )
            )
        for id_, prefix, description in (
            ("InboxRequests", REQUESTS, "Put requests here"),
            ("InboxAnswers", ANSWERS, "Answers lie here, by the name of the request"),
        ):
            value = f"s3://{bucket}/{prefix}{self.model.name}/"
            cdk.CfnOutput(self, id_, value=value, description=description)

    def _let_read_versions(self, inference: PythonFunction, bucket: str) -> None:
        """Let the function read its own manifests and the blobs that they name; it lists and writes nothing.

        A blob is named by its digest and may belong to several models, so all blobs it is.
        """
        reading = iam.PolicyStatement(
            sid="ReadVersions",
            actions=["s3:GetObject"],
            resources=[
                f"arn:{self.partition}:s3:::{bucket}/{keys}"
                for keys in (f"{BLOBS_PREFIX}*", f"{versions_prefix(self.model.name)}*")
            ],
        )
        inference.role.add_to_policy(reading)
        acknowledge_wildcards(
            inference.role,
            reading,
            "Digests and numbers are made as models are published, in this stage's store",
        )
        inference.role.add_to_policy(
            iam.PolicyStatement(
                sid="DecryptVersionsThroughS3",
                actions=["kms:Decrypt"],
                resources=[self._parameter(bucket_key_parameter)],
                conditions={"StringEquals": {"kms:ViaService": f"s3.{self.region}.{self.url_suffix}"}},
            )
        )

    def _say_if_slow(self) -> None:
        """Warn at synth of what the first request after a cold start may wait for (law 8)."""
        if warning := warn_of_slow_start(self.model):
            cdk.Annotations.of(self).add_warning_v2("switchyard:slowStart", warning)

    def _let_answer_messages(self, inference: PythonFunction, queues: ModelQueues) -> None:
        inference.role.add_to_policy(
            iam.PolicyStatement(
                sid="TakeRequests",
                actions=["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"],
                resources=[queues.requests.queue_arn],
            )
        )
        inference.role.add_to_policy(
            iam.PolicyStatement(
                sid="SendAnswers", actions=["sqs:SendMessage"], resources=[queues.answers.queue_arn]
            )
        )
        acknowledge_last_queues(queues.answers, queues.dead_letters)

    def _take_messages(self, queues: ModelQueues, *, after: tuple[IDependable, ...]) -> None:
        """Let the live version take requests. The mapping names the alias, so a flip moves the queue too."""
        mapping = lambda_.CfnEventSourceMapping(
            self,
            "TakeRequests",
            event_source_arn=queues.requests.queue_arn,
            function_name=self.model_function_arn(self.model.name, DEFAULT_ALIAS),
            function_response_types=["ReportBatchItemFailures"],
            batch_size=MESSAGES_AT_ONCE,
        )
        mapping.node.add_dependency(*after)
        for id_, queue, description in (
            ("RequestQueue", queues.requests, "Send requests here"),
            ("AnswerQueue", queues.answers, "Answers to queued requests come here"),
            ("DeadLetterQueue", queues.dead_letters, "What could not be answered ends here"),
        ):
            cdk.CfnOutput(self, id_, value=queue.queue_url, description=description)


def _environment(stage: Stage, model: Model) -> dict[str, str]:
    """What the function is told about itself; a release adds which version it serves."""
    variables = {MODEL: model.name, STAGE: stage.name, TIMEOUT: str(model.timeout_s)}
    if model.runtime != "plain":
        variables[RUNTIME_VARIABLE] = model.runtime
    if model.explain:
        variables[EXPLAIN] = "1"
    if model.max_batch is not None:
        variables[MAX_BATCH] = str(model.max_batch)
    if model.captures is not None:
        variables[CAPTURE] = model.captures.settings.to_json()
    return variables


def _fingerprint(facts: dict[str, Any]) -> str:
    """16 hexadecimal characters that change exactly when one of ``facts`` does."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
