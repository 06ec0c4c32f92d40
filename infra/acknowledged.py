"""Findings of CDK and cdk-nag that are accepted, each with its reason. Nothing else is.

CDK keeps them itself, so the app needs cdk-nag only where it is checked (``infra.checks``).
"""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct


def acknowledge_runtime(function: Construct) -> None:
    """Say why a function does not run on the newest Python."""
    _accept(
        function,
        "AwsSolutions-L1",
        "python3.13 is what the pinned wheels of the runtime layer are built and measured for",
    )


def acknowledge_wildcards(role: Construct, statement: iam.PolicyStatement, reason: str) -> None:
    """Accept the wildcards in the resources of this one statement, and no others."""
    stack = cdk.Stack.of(role)
    for resource in statement.resources:
        if "*" in resource:
            _accept(role, f"AwsSolutions-IAM5[Resource::{_as_nag_writes(stack.resolve(resource))}]", reason)


def _as_nag_writes(resolved: Any) -> str:
    """A resource as cdk-nag names it: ``{"Ref": "AWS::Region"}`` is ``<AWS::Region>``."""
    if isinstance(resolved, str):
        return resolved
    if "Ref" in resolved:
        return f"<{resolved['Ref']}>"
    if "Fn::GetAtt" in resolved:
        return f"<{'.'.join(resolved['Fn::GetAtt'])}>"
    separator, parts = resolved["Fn::Join"]
    return str(separator).join(_as_nag_writes(part) for part in parts)


def acknowledge_open_routes(api: Construct, stage: str) -> None:
    """Say that a stage is open on purpose."""
    _accept(
        api, "AwsSolutions-APIG4", f'The catalog says auth = "none" for the stage {stage}, by explicit choice'
    )


def acknowledge_own_validation(api: Construct) -> None:
    """Say who validates requests where API Gateway does not."""
    _accept(
        api,
        "AwsSolutions-APIG2",
        "The function's own parser holds every request to the model's tensors, in the protocol's words; API "
        "Gateway's schemas know neither a model's shapes nor binary tensors",
    )


def acknowledge_other_authorization(api: Construct, auth: str) -> None:
    """Say what stands in place of Cognito."""
    reason = {
        "iam": "Callers sign with IAM, which knows the account's roles",
        "jwt": "A Lambda authorizer takes the tokens of any issuer, Cognito's too (ADR 63)",
        "none": "The catalog leaves authorisation out, by explicit choice",
    }[auth]
    _accept(api, "AwsSolutions-COG4", reason)


def acknowledge_no_firewall(api: Construct) -> None:
    """Say why a REST API stands without a web ACL."""
    _accept(
        api,
        "AwsSolutions-APIG3",
        "The catalog asks for no firewall: it costs by the request, and what is behind parses strictly and "
        "has neither SQL nor pages",
    )


def acknowledge_log_writer(writer: Construct) -> None:
    """Say why API Gateway writes logs by AWS's own policy."""
    _accept(
        writer,
        "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/"
        "AmazonAPIGatewayPushToCloudWatchLogs]",
        "API Gateway takes no role that may write less: it makes the log groups of executions by itself",
    )


def acknowledge_unlogged_log(bucket: Construct) -> None:
    """Say why the bucket of access logs keeps no access log."""
    _accept(
        bucket,
        "AwsSolutions-S1",
        "It is the access log: logging the log's own deliveries would never end",
    )


def acknowledge_passing_payloads(bucket: Construct) -> None:
    """Say why the bucket of payloads on their way keeps no access log."""
    _accept(
        bucket,
        "AwsSolutions-S1",
        "Objects live for a day; the API's access log and the function's own log name every hand-off",
    )


def acknowledge_sampled_requests(bucket: Construct) -> None:
    """Say why the bucket of captured requests keeps no access log of its own."""
    _accept(
        bucket,
        "AwsSolutions-S1",
        "A sample that is forgotten within its retention; CloudTrail's data events say who read it, where an "
        "account wants that said",
    )


def acknowledge_training_bucket(bucket: Construct) -> None:
    """Say why the bucket of training keeps no access log of its own."""
    _accept(
        bucket,
        "AwsSolutions-S1",
        "Jobs of this stage read and write it, and each of their steps stands in Step Functions' history; "
        "CloudTrail's data events say who else did, where an account wants that said",
    )


def acknowledge_private_balancer(balancer: Construct) -> None:
    """Say why a load balancer keeps no access log of its own."""
    _accept(
        balancer,
        "AwsSolutions-ELB2",
        "It is private: the gateway logs every request and its outcome, the container counts gRPC calls",
    )


def acknowledge_quiet_fleet(group: Construct) -> None:
    """Say why a group of machines notifies nobody of its scaling."""
    _accept(
        group,
        "AwsSolutions-AS3",
        "Scaling is its normal life and stands in its activity history; too few healthy machines is an alarm",
    )


def acknowledge_last_queues(*queues: Construct) -> None:
    """Say why a queue has no dead-letter queue."""
    reason = "Nothing of ours reads it: it holds answers for their reader, or is the dead-letter queue"
    for queue in queues:
        _accept(queue, "AwsSolutions-SQS3", reason)


def acknowledge_quiet_machine(machine: Construct) -> None:
    """Say why a state machine writes neither a log nor traces."""
    reason = (
        "Step Functions keeps the history of every execution for 90 days, the function of each step logs "
        "what it did, and the ledger keeps the outcome for ever"
    )
    _accept(machine, "AwsSolutions-SF1", reason)
    _accept(machine, "AwsSolutions-SF2", reason)


def acknowledge_tracing(role: Construct) -> None:
    """Accept the wildcard of what the CDK grants to a traced function."""
    _accept(
        role, "AwsSolutions-IAM5[Resource::*]", "X-Ray's segments are the account's; it knows no resources"
    )


def acknowledge_snapstart(function: Construct) -> None:
    """Say where the published versions are, without which SnapStart would do nothing."""
    reason = "The release controller publishes the versions that serve; the template never does (law 4)"
    cdk.Annotations.of(function).acknowledge_warning("@aws-cdk/aws-lambda:snapStartRequirePublish", reason)
    _accept(function, "CloudFormation-Validate::W2530", reason)


def _accept(construct: Construct, finding: str, reason: str) -> None:
    cdk.Validations.of(construct).acknowledge(cdk.Acknowledgment(id=finding, reason=reason))
