"""One version of one model on EC2: machines that start its container, behind a rule of the load balancer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import aws_cdk as cdk
from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as balancing
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.constructs.endpoint_balancer import EndpointBalancer
from infra.constructs.machine_script import GPU_METRIC, MachineScript
from infra.constructs.python_function import retention
from model_store.contract.endpoints import CONTAINER_PORT, ENDPOINT_HEADER, GRPC_PORT

STARTUP_S = 900
"""From a machine's launch to the container's first good answer: packages, image, gigabytes of model."""

DRAIN_S = 30
"""The container drains within 25 s of SIGTERM; a target is deregistered before it gets one."""

SIGNAL_MINUTES = 30
_Tracking = autoscaling.CfnScalingPolicy.TargetTrackingConfigurationProperty


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetProps:
    """What a fleet is. ``folder`` is the S3 prefix of the version; ``rule`` its place among the rules."""

    name: str
    image: str
    registry: str | None
    environment: Mapping[str, str]
    folder: str
    machine_image: str
    instance_type: str
    gpu: bool
    profile: str
    disk_gb: int
    key: str | None
    min_instances: int
    max_instances: int
    warm_instances: int
    spot: bool
    target_invocations: int | None
    target_gpu: int | None
    rule: int
    vpc: str
    subnets: tuple[str, ...]
    metrics_namespace: str
    scraped: bool
    log_retention_days: int
    alarm_prefix: str
    alarm_topic: str
    tags: Mapping[str, str] = field(default_factory=dict)


class Fleet(Construct):
    """``group`` with template, target groups, rules, scaling, log and alarm; ready when its machines answer.

    A machine signals CloudFormation after its container's first good ping, so a version that does not start
    fails the deploy, and nothing of it is released. An instance refresh rolls another machine image in.
    """

    def __init__(self, scope: Construct, id_: str, *, props: FleetProps, balancer: EndpointBalancer) -> None:
        super().__init__(scope, id_)
        self._props = props
        self.log_group = logs.LogGroup(
            self,
            "Logs",
            log_group_name=f"/switchyard/endpoints/{props.name}",
            retention=retention(props.log_retention_days),
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        targets = [self._targets("Http", CONTAINER_PORT, "HTTP1", "/ping", "200")]
        self._rule("HttpRule", balancer.listener, targets[0])
        if balancer.grpc_listener is not None:
            health = "/inference.GRPCInferenceService/ServerReady"
            targets.append(self._targets("Grpc", GRPC_PORT, "GRPC", health, "0"))
            self._rule("GrpcRule", balancer.grpc_listener, targets[1])
            # When all of it is deleted, the listener goes first, and with it the rule that no template holds.
            balancer.grpc_listener.add_dependency(targets[1])
        self.group = self._group(targets, balancer)
        if props.warm_instances:
            autoscaling.CfnWarmPool(
                self,
                "Warm",
                auto_scaling_group_name=self.group.ref,
                min_size=props.warm_instances,
                pool_state="Stopped",
            )
        self._scale(balancer, targets[0])
        self._alarm(balancer, targets[0])

    def _targets(self, id_: str, port: int, version: str, health: str, good: str) -> balancing.CfnTargetGroup:
        matcher = balancing.CfnTargetGroup.MatcherProperty
        return balancing.CfnTargetGroup(
            self,
            id_,
            vpc_id=self._props.vpc,
            target_type="instance",
            protocol="HTTP",
            protocol_version=version,
            port=port,
            health_check_path=health,
            health_check_interval_seconds=10,
            health_check_timeout_seconds=5,
            healthy_threshold_count=2,
            unhealthy_threshold_count=3,
            matcher=matcher(grpc_code=good) if version == "GRPC" else matcher(http_code=good),
            target_group_attributes=[
                balancing.CfnTargetGroup.TargetGroupAttributeProperty(key=key, value=value)
                for key, value in (
                    ("deregistration_delay.timeout_seconds", str(DRAIN_S)),
                    ("load_balancing.algorithm.type", "least_outstanding_requests"),
                )
            ],
        )

    def _rule(self, id_: str, listener: balancing.CfnListener, targets: balancing.CfnTargetGroup) -> None:
        header = balancing.CfnListenerRule.HttpHeaderConfigProperty
        balancing.CfnListenerRule(
            self,
            id_,
            listener_arn=listener.ref,
            priority=self._props.rule,
            conditions=[
                balancing.CfnListenerRule.RuleConditionProperty(
                    field="http-header",
                    http_header_config=header(http_header_name=ENDPOINT_HEADER, values=[self._props.name]),
                )
            ],
            actions=[balancing.CfnListenerRule.ActionProperty(type="forward", target_group_arn=targets.ref)],
        )

    def _group(
        self, targets: list[balancing.CfnTargetGroup], balancer: EndpointBalancer
    ) -> autoscaling.CfnAutoScalingGroup:
        props = self._props
        kind = autoscaling.CfnAutoScalingGroup
        # The machine's script names the group by its logical id, which is known without the group.
        template = self._template(balancer)
        specification = kind.LaunchTemplateSpecificationProperty(
            launch_template_id=template.ref, version=template.attr_latest_version_number
        )
        group = kind(
            self,
            "Group",
            auto_scaling_group_name=props.name,
            min_size=str(props.min_instances),
            max_size=str(props.max_instances),
            vpc_zone_identifier=list(props.subnets),
            target_group_arns=[target.ref for target in targets],
            health_check_type="ELB",
            health_check_grace_period=STARTUP_S,
            default_instance_warmup=60,
            capacity_rebalance=props.spot,
            launch_template=None if props.spot else specification,
            mixed_instances_policy=self._spot(specification) if props.spot else None,
            new_instances_protected_from_scale_in=False,
        )
        group.override_logical_id(_logical_id(self))
        group.cfn_options.creation_policy = cdk.CfnCreationPolicy(
            resource_signal=cdk.CfnResourceSignal(count=props.min_instances, timeout=f"PT{SIGNAL_MINUTES}M")
        )
        # Another machine image is the same endpoint on a patched machine: new ones first, then the old go.
        group.cfn_options.update_policy = cdk.CfnUpdatePolicy(
            auto_scaling_instance_refresh=cdk.CfnAutoScalingInstanceRefresh(
                strategy="Rolling",
                preferences=cdk.CfnAutoScalingInstanceRefreshPreferences(
                    min_healthy_percentage=100, max_healthy_percentage=200, instance_warmup=60
                ),
            )
        )
        group.node.add_dependency(self.log_group)
        return group

    def _spot(
        self, specification: autoscaling.CfnAutoScalingGroup.LaunchTemplateSpecificationProperty
    ) -> autoscaling.CfnAutoScalingGroup.MixedInstancesPolicyProperty:
        """The floor is bought on demand, and so stays; what is above it is spot, and may be taken away."""
        kind = autoscaling.CfnAutoScalingGroup
        return kind.MixedInstancesPolicyProperty(
            launch_template=kind.LaunchTemplateProperty(launch_template_specification=specification),
            instances_distribution=kind.InstancesDistributionProperty(
                on_demand_base_capacity=self._props.min_instances,
                on_demand_percentage_above_base_capacity=0,
                spot_allocation_strategy="price-capacity-optimized",
            ),
        )

    def _template(self, balancer: EndpointBalancer) -> ec2.CfnLaunchTemplate:
        props = self._props
        kind = ec2.CfnLaunchTemplate
        return kind(
            self,
            "Template",
            launch_template_name=props.name,
            launch_template_data=kind.LaunchTemplateDataProperty(
                image_id=props.machine_image,
                instance_type=props.instance_type,
                iam_instance_profile=kind.IamInstanceProfileProperty(name=props.profile),
                security_group_ids=[balancer.machine_group.attr_group_id],
                # One hop: the machine itself gets its role's credentials, the container on it does not.
                metadata_options=kind.MetadataOptionsProperty(
                    http_tokens="required", http_put_response_hop_limit=1, http_endpoint="enabled"
                ),
                monitoring=kind.MonitoringProperty(enabled=True),
                block_device_mappings=[
                    kind.BlockDeviceMappingProperty(
                        device_name="/dev/xvda",
                        ebs=kind.EbsProperty(
                            encrypted=True,
                            kms_key_id=props.key,
                            volume_type="gp3",
                            volume_size=props.disk_gb,
                            delete_on_termination=True,
                        ),
                    )
                ],
                user_data=cdk.Fn.base64(self._script()),
                tag_specifications=[
                    kind.TagSpecificationProperty(
                        resource_type=resource,
                        tags=[
                            cdk.CfnTag(key=key, value=value)
                            for key, value in {"Name": props.name, **props.tags}.items()
                        ],
                    )
                    for resource in ("instance", "volume")
                ],
            ),
        )

    def _script(self) -> str:
        props, stack = self._props, cdk.Stack.of(self)
        return MachineScript(
            region=stack.region,
            stack=stack.stack_name,
            resource=_logical_id(self),
            source=props.folder,
            image=props.image,
            registry=props.registry,
            environment=props.environment,
            log_group=self.log_group.log_group_name,
            gpu=props.gpu,
            metrics_namespace=props.metrics_namespace,
            startup_s=STARTUP_S,
            scraped=props.scraped,
        ).text()

    def _scale(self, balancer: EndpointBalancer, targets: balancing.CfnTargetGroup) -> None:
        props = self._props
        configurations: dict[str, autoscaling.CfnScalingPolicy.TargetTrackingConfigurationProperty] = {}
        if props.target_invocations is not None:
            label = cdk.Fn.join(
                "/", [balancer.balancer.attr_load_balancer_full_name, targets.attr_target_group_full_name]
            )
            configurations["FollowRequests"] = _Tracking(
                target_value=props.target_invocations,
                predefined_metric_specification=autoscaling.CfnScalingPolicy.PredefinedMetricSpecificationProperty(
                    predefined_metric_type="ALBRequestCountPerTarget", resource_label=label
                ),
            )
        if props.target_gpu is not None:
            policy = autoscaling.CfnScalingPolicy
            configurations["FollowGpu"] = _Tracking(
                target_value=props.target_gpu,
                customized_metric_specification=policy.CustomizedMetricSpecificationProperty(
                    namespace=props.metrics_namespace,
                    metric_name=GPU_METRIC,
                    statistic="Average",
                    dimensions=[
                        policy.MetricDimensionProperty(name="AutoScalingGroupName", value=props.name)
                    ],
                ),
            )
        for id_, configuration in configurations.items():
            autoscaling.CfnScalingPolicy(
                self,
                id_,
                auto_scaling_group_name=self.group.ref,
                policy_type="TargetTrackingScaling",
                target_tracking_configuration=configuration,
            )

    def _alarm(self, balancer: EndpointBalancer, targets: balancing.CfnTargetGroup) -> None:
        dimension = cloudwatch.CfnAlarm.DimensionProperty
        cloudwatch.CfnAlarm(
            self,
            "Unhealthy",
            alarm_name=f"{self._props.alarm_prefix}unhealthy",
            alarm_description=f"{self._props.name} has fewer healthy machines than its floor, for 3 minutes",
            namespace="AWS/ApplicationELB",
            metric_name="HealthyHostCount",
            dimensions=[
                dimension(name="LoadBalancer", value=balancer.balancer.attr_load_balancer_full_name),
                dimension(name="TargetGroup", value=targets.attr_target_group_full_name),
            ],
            statistic="Minimum",
            period=60,
            evaluation_periods=3,
            comparison_operator="LessThanThreshold",
            threshold=self._props.min_instances,
            treat_missing_data="breaching",
            alarm_actions=[self._props.alarm_topic],
        )


def _logical_id(fleet: Construct) -> str:
    """The group's logical id, chosen here so that the machine's script can name it."""
    return "Fleet" + "".join(part for part in fleet.node.id if part.isalnum())
