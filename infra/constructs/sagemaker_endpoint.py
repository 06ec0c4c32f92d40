"""One version of one model on SageMaker: model, configuration and endpoint, made together and never changed.

All three have the endpoint's name, which carries everything that they were made with. So CloudFormation never
finds one to update: what differs has another name, is made beside it, and the old one goes afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import aws_cdk as cdk
from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from infra.constructs.python_function import retention
from model_store.contract.endpoints import VARIANT

FIRST_INSTANCES = 1
"""What an endpoint begins with. Its floor is the scalable target's, and may change without a new one."""

STARTUP_S = 900
"""How long a container may take to answer a ping. SageMaker's default of 4 minutes is short for gigabytes."""

DOWNLOAD_S = 1_800

PERIODS = 5
DATAPOINTS = 3
CEILING_FACTOR = 1.5

_INSTANCES = "/aws/sagemaker/Endpoints"
_COMPONENTS = "/aws/sagemaker/InferenceComponents"
_Component = sagemaker.CfnInferenceComponent
_Async = sagemaker.CfnEndpointConfig.AsyncInferenceConfigProperty
_AsyncClient = sagemaker.CfnEndpointConfig.AsyncInferenceClientConfigProperty
_AsyncOutput = sagemaker.CfnEndpointConfig.AsyncInferenceOutputConfigProperty
_AsyncTopics = sagemaker.CfnEndpointConfig.AsyncInferenceNotificationConfigProperty
_Steps = scaling.CfnScalingPolicy.StepScalingPolicyConfigurationProperty
_Step = scaling.CfnScalingPolicy.StepAdjustmentProperty
_Customized = scaling.CfnScalingPolicy.CustomizedMetricSpecificationProperty
_MetricDimension = scaling.CfnScalingPolicy.MetricDimensionProperty
_Tracking = scaling.CfnScalingPolicy.TargetTrackingScalingPolicyConfigurationProperty
_Metric = scaling.CfnScalingPolicy.PredefinedMetricSpecificationProperty

SCALE_OUT_S = 60
SCALE_IN_S = 300


BACKLOG_OUT_S = 300
BACKLOG_IN_S = 600
"""Slower than for requests that are answered at once: what waits is not lost. Both are those of the example
in the SageMaker developer guide, "Autoscale an asynchronous endpoint"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueProps:
    """The queue before an endpoint. ``answers`` and ``failures`` are S3 prefixes, encrypted with ``key``."""

    answers: str
    failures: str
    key: str
    answered_topic: str
    failed_topic: str
    max_concurrent: int | None
    backlog_per_instance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentProps:
    """What one copy reserves of a machine; ``gpus`` may be 0, and ``cpus`` SageMaker's to choose."""

    memory_mb: int
    gpus: int
    cpus: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SageMakerEndpointProps:
    """What an endpoint is, and how many machines it has.

    ``folder`` is the S3 prefix that SageMaker mounts. ``isolated`` gives the container no network at all.
    """

    name: str
    image: str
    environment: Mapping[str, str]
    folder: str
    role: iam.IRole
    instance_type: str
    min_instances: int
    max_instances: int
    target_invocations: int | None
    isolated: bool
    log_retention_days: int
    alarm_prefix: str
    alarm_topic: str
    volume_gb: int | None = None
    key: str | None = None
    subnets: tuple[str, ...] = field(default=())
    security_groups: tuple[str, ...] = field(default=())
    queue: QueueProps | None = None
    copy: ComponentProps | None = None


class SageMakerEndpoint(Construct):
    """``endpoint`` with what it needs, its log, its scaling and its alarms."""

    def __init__(self, scope: Construct, id_: str, *, props: SageMakerEndpointProps) -> None:
        super().__init__(scope, id_)
        # Made by us and not by SageMaker, so that it forgets. It goes with the endpoint: a log group that
        # stayed would be in the way if the same version were provisioned again.
        self.log_group = logs.LogGroup(
            self,
            "Logs",
            log_group_name=f"/aws/sagemaker/Endpoints/{props.name}",
            retention=retention(props.log_retention_days),
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        model = self._model(props)
        config = self._config(props)
        config.node.add_dependency(model)
        self.endpoint = sagemaker.CfnEndpoint(
            self, "Endpoint", endpoint_name=props.name, endpoint_config_name=props.name
        )
        self.endpoint.node.add_dependency(config)
        self.endpoint.node.add_dependency(self.log_group)
        self.serving: Construct = self.endpoint
        if props.copy is not None:
            self.serving = self._component(props, props.copy)
        self._scale(props)
        self._alarms(props)

    def _component(
        self, props: SageMakerEndpointProps, copy: ComponentProps
    ) -> sagemaker.CfnInferenceComponent:
        """The model on the endpoint's machines, which come and go with its copies. It has the same name."""
        component = sagemaker.CfnInferenceComponent(
            self,
            "Component",
            inference_component_name=props.name,
            endpoint_name=props.name,
            variant_name=VARIANT,
            runtime_config=_Component.InferenceComponentRuntimeConfigProperty(copy_count=FIRST_INSTANCES),
            specification=_Component.InferenceComponentSpecificationProperty(
                model_name=props.name,
                startup_parameters=_Component.InferenceComponentStartupParametersProperty(
                    container_startup_health_check_timeout_in_seconds=STARTUP_S,
                    model_data_download_timeout_in_seconds=DOWNLOAD_S,
                ),
                compute_resource_requirements=_Component.InferenceComponentComputeResourceRequirementsProperty(
                    min_memory_required_in_mb=copy.memory_mb,
                    number_of_accelerator_devices_required=copy.gpus or None,
                    number_of_cpu_cores_required=copy.cpus,
                ),
            ),
        )
        component.node.add_dependency(self.endpoint)
        return component

    def _model(self, props: SageMakerEndpointProps) -> sagemaker.CfnModel:
        network = (
            sagemaker.CfnModel.VpcConfigProperty(
                subnets=list(props.subnets), security_group_ids=list(props.security_groups)
            )
            if props.subnets and props.copy is None
            else None
        )
        return sagemaker.CfnModel(
            self,
            "Model",
            model_name=props.name,
            execution_role_arn=props.role.role_arn,
            # The machines of components are the endpoint's own, and so are their network and its isolation.
            enable_network_isolation=props.isolated if props.copy is None else None,
            vpc_config=network,
            primary_container=sagemaker.CfnModel.ContainerDefinitionProperty(
                image=props.image,
                environment=dict(props.environment),
                model_data_source=sagemaker.CfnModel.ModelDataSourceProperty(
                    s3_data_source=sagemaker.CfnModel.S3DataSourceProperty(
                        s3_uri=props.folder, s3_data_type="S3Prefix", compression_type="None"
                    )
                ),
            ),
        )

    def _config(self, props: SageMakerEndpointProps) -> sagemaker.CfnEndpointConfig:
        if props.copy is not None:
            return self._config_of_components(props)
        return sagemaker.CfnEndpointConfig(
            self,
            "Config",
            endpoint_config_name=props.name,
            kms_key_id=props.key,
            async_inference_config=_queue_of(props.queue) if props.queue else None,
            production_variants=[
                sagemaker.CfnEndpointConfig.ProductionVariantProperty(
                    variant_name=VARIANT,
                    model_name=props.name,
                    instance_type=props.instance_type,
                    initial_instance_count=FIRST_INSTANCES,
                    initial_variant_weight=1,
                    volume_size_in_gb=props.volume_gb,
                    container_startup_health_check_timeout_in_seconds=STARTUP_S,
                    model_data_download_timeout_in_seconds=DOWNLOAD_S,
                    routing_config=sagemaker.CfnEndpointConfig.RoutingConfigProperty(
                        routing_strategy="LEAST_OUTSTANDING_REQUESTS"
                    ),
                )
            ],
        )

    def _config_of_components(self, props: SageMakerEndpointProps) -> sagemaker.CfnEndpointConfig:
        """Machines without a model of their own; SageMaker has as many as the copies on them need."""
        return sagemaker.CfnEndpointConfig(
            self,
            "Config",
            endpoint_config_name=props.name,
            kms_key_id=props.key,
            execution_role_arn=props.role.role_arn,
            enable_network_isolation=props.isolated,
            vpc_config=sagemaker.CfnEndpointConfig.VpcConfigProperty(
                subnets=list(props.subnets), security_group_ids=list(props.security_groups)
            )
            if props.subnets
            else None,
            production_variants=[
                sagemaker.CfnEndpointConfig.ProductionVariantProperty(
                    variant_name=VARIANT,
                    instance_type=props.instance_type,
                    initial_instance_count=FIRST_INSTANCES,
                    volume_size_in_gb=props.volume_gb,
                    managed_instance_scaling=sagemaker.CfnEndpointConfig.ManagedInstanceScalingProperty(
                        status="ENABLED",
                        min_instance_count=props.min_instances,
                        max_instance_count=props.max_instances,
                    ),
                    routing_config=sagemaker.CfnEndpointConfig.RoutingConfigProperty(
                        routing_strategy="LEAST_OUTSTANDING_REQUESTS"
                    ),
                )
            ],
        )

    def _scale(self, props: SageMakerEndpointProps) -> None:
        variant = ("sagemaker:variant:DesiredInstanceCount", f"endpoint/{props.name}/variant/{VARIANT}")
        copies = ("sagemaker:inference-component:DesiredCopyCount", f"inference-component/{props.name}")
        dimension, resource = variant if props.copy is None else copies
        target = scaling.CfnScalableTarget(
            self,
            "Instances",
            service_namespace="sagemaker",
            resource_id=resource,
            scalable_dimension=dimension,
            min_capacity=props.min_instances,
            max_capacity=props.max_instances,
        )
        target.node.add_dependency(self.serving)
        if props.copy is not None and props.min_instances == 0:
            self._wake(
                props,
                target,
                metric="NoCapacityInvocationFailures",
                dimensions={"InferenceComponentName": props.name},
                said="was asked, and has no machine",
            )
        if props.queue is not None:
            self._follow_the_queue(props, props.queue, target)
        if props.target_invocations is None:
            return
        scaling.CfnScalingPolicy(
            self,
            "Follow",
            policy_name=f"{props.name}-follow",
            policy_type="TargetTrackingScaling",
            scaling_target_id=target.ref,
            target_tracking_scaling_policy_configuration=_Tracking(
                target_value=props.target_invocations,
                predefined_metric_specification=_Metric(
                    predefined_metric_type="SageMakerVariantInvocationsPerInstance"
                    if props.copy is None
                    else "SageMakerInferenceComponentInvocationsPerCopy"
                ),
                scale_out_cooldown=SCALE_OUT_S,
                scale_in_cooldown=SCALE_IN_S,
            ),
        )

    def _follow_the_queue(
        self, props: SageMakerEndpointProps, queue: QueueProps, target: scaling.CfnScalableTarget
    ) -> None:
        """Machines for what waits, and the first one for whatever does.

        The backlog by machine says nothing while there is none, so an alarm on "something waits and nobody is
        there" adds one (SageMaker developer guide, "Autoscale an asynchronous endpoint").
        """
        scaling.CfnScalingPolicy(
            self,
            "FollowQueue",
            policy_name=f"{props.name}-queue",
            policy_type="TargetTrackingScaling",
            scaling_target_id=target.ref,
            target_tracking_scaling_policy_configuration=_Tracking(
                target_value=queue.backlog_per_instance,
                customized_metric_specification=_Customized(
                    namespace="AWS/SageMaker",
                    metric_name="ApproximateBacklogSizePerInstance",
                    dimensions=[_MetricDimension(name="EndpointName", value=props.name)],
                    statistic="Average",
                ),
                scale_out_cooldown=BACKLOG_OUT_S,
                scale_in_cooldown=BACKLOG_IN_S,
            ),
        )
        if props.min_instances == 0:
            self._wake(
                props,
                target,
                metric="HasBacklogWithoutCapacity",
                dimensions={"EndpointName": props.name},
                said="has requests that wait, and no machine",
            )

    def _wake(
        self,
        props: SageMakerEndpointProps,
        target: scaling.CfnScalableTarget,
        *,
        metric: str,
        dimensions: Mapping[str, str],
        said: str,
    ) -> None:
        """Add the first machine when ``metric`` says that somebody asks for one."""
        step = scaling.CfnScalingPolicy(
            self,
            "Wake",
            policy_name=f"{props.name}-wake",
            policy_type="StepScaling",
            scaling_target_id=target.ref,
            step_scaling_policy_configuration=_Steps(
                adjustment_type="ChangeInCapacity",
                metric_aggregation_type="Maximum",
                cooldown=SCALE_OUT_S,
                step_adjustments=[_Step(metric_interval_lower_bound=0, scaling_adjustment=1)],
            ),
        )
        cloudwatch.CfnAlarm(
            self,
            "Asleep",
            alarm_name=f"{props.alarm_prefix}asleep",
            alarm_description=f"{props.name} {said}: adds the first one",
            namespace="AWS/SageMaker",
            metric_name=metric,
            dimensions=[
                cloudwatch.CfnAlarm.DimensionProperty(name=name, value=value)
                for name, value in dimensions.items()
            ],
            statistic="Maximum",
            period=60,
            evaluation_periods=1,
            datapoints_to_alarm=1,
            comparison_operator="GreaterThanOrEqualToThreshold",
            threshold=1,
            treat_missing_data="missing",
            alarm_actions=[step.ref],
        )

    def _alarms(self, props: SageMakerEndpointProps) -> None:
        """What no alarm of a release sees. They tell people, and undo nothing."""
        alarms = [
            ("Failing", "AWS/SageMaker", "Invocation5XXErrors", "Sum", 1.0, "answers with errors of its own"),
            (
                "Memory",
                _INSTANCES if props.copy is None else _COMPONENTS,
                "MemoryUtilization",
                "Maximum",
                90.0,
                "uses 90 % of its memory",
            ),
        ]
        if props.target_invocations is not None:
            beyond = props.target_invocations * CEILING_FACTOR
            alarms.append(
                (
                    "Ceiling",
                    "AWS/SageMaker",
                    "InvocationsPerInstance" if props.copy is None else "InvocationsPerCopy",
                    "Sum",
                    beyond,
                    f"is asked {CEILING_FACTOR} times as often as a machine should be: raise `max_instances`",
                )
            )
        for what, namespace, metric, statistic, threshold, said in alarms:
            cloudwatch.CfnAlarm(
                self,
                what,
                alarm_name=f"{props.alarm_prefix}{what.lower()}",
                alarm_description=f"{props.name} {said}, in {DATAPOINTS} of {PERIODS} minutes",
                namespace=namespace,
                metric_name=metric,
                dimensions=[
                    cloudwatch.CfnAlarm.DimensionProperty(name=name, value=value)
                    for name, value in _dimensions(props).items()
                ],
                statistic=statistic,
                period=60,
                evaluation_periods=PERIODS,
                datapoints_to_alarm=DATAPOINTS,
                comparison_operator="GreaterThanOrEqualToThreshold",
                threshold=threshold,
                treat_missing_data="notBreaching",
                alarm_actions=[props.alarm_topic],
            )


def _queue_of(queue: QueueProps) -> _Async:
    return _Async(
        client_config=_AsyncClient(max_concurrent_invocations_per_instance=queue.max_concurrent)
        if queue.max_concurrent
        else None,
        output_config=_AsyncOutput(
            s3_output_path=queue.answers,
            s3_failure_path=queue.failures,
            kms_key_id=queue.key,
            notification_config=_AsyncTopics(
                success_topic=queue.answered_topic, error_topic=queue.failed_topic
            ),
        ),
    )


def _dimensions(props: SageMakerEndpointProps) -> dict[str, str]:
    """What the metrics of one version are counted by."""
    if props.copy is not None:
        return {"InferenceComponentName": props.name}
    return {"EndpointName": props.name, "VariantName": VARIANT}
