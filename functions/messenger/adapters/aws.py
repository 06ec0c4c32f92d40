"""CloudWatch, Lambda, SSM and SNS through boto3, and webhooks through the standard library."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from functions.messenger.ports import NotDeliveredError
from model_store.contract.environment import VERSION

TIMEOUT_S = 8.0
CONFIG = Config(connect_timeout=2, read_timeout=8, retries={"mode": "standard", "total_max_attempts": 3})


class AwsWaysOut:
    """``functions.messenger.ports.WaysOut``. ``topic`` is where messages for people are published."""

    def __init__(self, *, topic: str, clients: Mapping[str, Any] | None = None) -> None:
        self._topic = topic
        self._clients: dict[str, Any] = dict(clients or {})

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            make: Any = boto3.client  # its stubs want a literal name
            self._clients[service] = make(service, config=CONFIG)
        return self._clients[service]

    def reasons(self, alarms: Sequence[str]) -> Mapping[str, str]:
        if not alarms:
            return {}
        try:
            found = self._client("cloudwatch").describe_alarms(
                AlarmNames=list(alarms)[:100], AlarmTypes=["CompositeAlarm", "MetricAlarm"]
            )
        except (ClientError, BotoCoreError):
            return {}
        listed = [*found.get("MetricAlarms", []), *found.get("CompositeAlarms", [])]
        return {alarm["AlarmName"]: str(alarm.get("StateReason", "")) for alarm in listed}

    def serving(self, function: str, alias: str) -> str:
        try:
            found = self._client("lambda").get_function_configuration(FunctionName=function, Qualifier=alias)
        except (ClientError, BotoCoreError):
            return ""
        return str(found.get("Environment", {}).get("Variables", {}).get(VERSION, ""))

    def secret(self, parameter: str) -> str:
        with _delivered(f"the parameter `{parameter}` cannot be read"):
            found = self._client("ssm").get_parameter(Name=parameter, WithDecryption=True)
        return str(found["Parameter"]["Value"]).strip()

    def mail(self, subject: str, text: str) -> None:
        with _delivered("the topic of messages did not take it"):
            self._client("sns").publish(TopicArn=self._topic, Subject=subject, Message=text)

    def post(self, url: str, body: Mapping[str, Any]) -> None:
        if not url.startswith(("https://", "http://127.0.0.1:")):
            raise NotDeliveredError("the receiver's address is not https")
        request = urllib.request.Request(  # noqa: S310  # https, or this machine in tests
            url, data=json.dumps(body).encode(), headers={"content-type": "application/json"}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise NotDeliveredError(f"the receiver answered {error.code}") from None
        except (OSError, ValueError) as error:
            # The error's own words may name the address, which is a secret for Slack.
            raise NotDeliveredError(f"the receiver was not reached ({type(error).__name__})") from None


@contextmanager
def _delivered(fact: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise NotDeliveredError(f"{fact}: {error.response['Error']['Code']}") from error
    except BotoCoreError as error:
        raise NotDeliveredError(f"{fact}: {type(error).__name__}") from error
