"""Who is told of alarms: a function that puts them into words, and a topic that e-mails them.

Two topics, one key. What CloudWatch tells the topic of alarms is for programs: the operations function and
this one. People get the other topic's messages; their addresses never see CloudWatch's JSON.
"""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

from catalog.messages import Messages
from infra.bundles import Tree
from infra.constructs.python_function import PythonFunction, PythonFunctionProps
from model_store.contract.deployment import message_topic_name, messenger_function_name
from model_store.contract.environment import MESSAGE_TOPIC, PAGERDUTY_KEY, SLACK_WEBHOOK

HANDLER = "functions.messenger.handler.handler"
TIMEOUT_S = 60
MEMORY_MB = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class MessengerProps:
    """``alarms`` is the topic it hears, ``key`` what both topics are encrypted with."""

    stage: str
    alarms: sns.Topic
    key: kms.Key
    messages: Messages
    code: Tree
    log_retention_days: int


class Messenger(Construct):
    """``function`` and ``topic``; the stack says what the function may do."""

    def __init__(self, scope: Construct, id_: str, *, props: MessengerProps) -> None:
        super().__init__(scope, id_)
        self.topic = sns.Topic(
            self,
            "Messages",
            topic_name=message_topic_name(props.stage),
            master_key=props.key,
            enforce_ssl=True,
        )
        for number, address in enumerate(props.messages.email):
            # The address has to be confirmed by whoever reads it: SNS asks by e-mail.
            sns.Subscription(
                self,
                f"Email{number}",
                topic=self.topic,
                protocol=sns.SubscriptionProtocol.EMAIL,
                endpoint=address,
            )
        told = {SLACK_WEBHOOK: props.messages.slack_webhook, PAGERDUTY_KEY: props.messages.pagerduty_key}
        self.function = PythonFunction(
            self,
            "Function",
            props=PythonFunctionProps(
                name=messenger_function_name(props.stage),
                description="Says to people what an alarm means",
                handler=HANDLER,
                code=props.code,
                memory_mb=MEMORY_MB,
                timeout_s=TIMEOUT_S,
                log_retention_days=props.log_retention_days,
                keep=False,
                environment={
                    MESSAGE_TOPIC: self.topic.topic_arn,
                    **{name: value for name, value in told.items() if value},
                },
            ),
        )
        heard = sns.Subscription(
            self,
            "AlarmsHeard",
            topic=props.alarms,
            protocol=sns.SubscriptionProtocol.LAMBDA,
            endpoint=self.function.function.function_arn,
        )
        heard.node.add_dependency(self.function)
