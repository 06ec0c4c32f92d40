"""Embedded clouds for the tests of the embedded cloud itself: ours, a stock one to compare with, a strict one."""

from __future__ import annotations

import io
import json
import os
import urllib.error
import urllib.request
import uuid
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from local_cloud import cloud as local_cloud
from local_cloud.cloud import Cloud

ROLE = "arn:aws:iam::000000000000:role/any"


def zipped(files: dict[str, str | bytes]) -> bytes:
    """Return a zip archive of the files."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as content:
        for name, text in files.items():
            content.writestr(name, text)
    return archive.getvalue()


class Account:
    """An embedded cloud with what tests do in it again and again."""

    def __init__(self, cloud: Cloud, key: str = "test") -> None:
        """Sign with ``key``; one of twelve digits is an account of its own."""
        self.cloud = cloud
        self._key = key
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """Return a boto3 client that does not retry: a refusal is to be seen, not repeated."""
        if service not in self._clients:
            make: Any = boto3.client  # its stubs want a literal name
            self._clients[service] = make(
                service,
                endpoint_url=self.cloud.endpoint_url,
                region_name=self.cloud.region,
                aws_access_key_id=self._key,
                aws_secret_access_key="test",
                verify=self.cloud.environment().get("AWS_CA_BUNDLE") or True,
                config=Config(retries={"total_max_attempts": 1}),
            )
        return self._clients[service]

    def day(self, **settings: Any) -> dict[str, Any]:
        """Change how bad this account's day is; without settings it becomes a good one."""
        request = urllib.request.Request(
            f"{self.cloud.endpoint_url}/_switchyard/bad-day",
            data=json.dumps(settings).encode() if settings else None,
            method="POST" if settings else "DELETE",
            headers={"x-switchyard-account": self._key},
        )
        with urllib.request.urlopen(request) as answer:
            return dict(json.loads(answer.read()))

    def function(self, code: str, **settings: Any) -> str:
        """Create a function whose module is ``code`` and return its name once it is ready."""
        name = str(settings.pop("FunctionName", f"f-{uuid.uuid4().hex[:10]}"))
        config = {"Runtime": "python3.13", "Role": ROLE, "Handler": "main.handler", "Timeout": 10, **settings}
        lambda_ = self.client("lambda")
        lambda_.create_function(FunctionName=name, Code={"ZipFile": zipped({"main.py": code})}, **config)
        self.settled(name)
        return name

    def settled(self, name: str) -> None:
        """Wait until the function's update has come to its end."""
        waiter = self.client("lambda").get_waiter("function_updated_v2")
        waiter.wait(FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 200})

    def published(self, name: str, answer: str) -> str:
        """Publish a version of the function that answers ``answer`` (see ``ANSWERING``)."""
        lambda_ = self.client("lambda")
        lambda_.update_function_configuration(
            FunctionName=name, Environment={"Variables": {"ANSWER": answer}}
        )
        self.settled(name)
        return str(lambda_.publish_version(FunctionName=name)["Version"])

    def call(self, name: str, event: Any = None, **arguments: Any) -> Any:
        """Invoke the function and return the document it answers with, an error's too."""
        answer = self.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event), **arguments)
        return json.loads(answer["Payload"].read())

    def get(self, url: str) -> tuple[int, bytes]:
        """Ask an API of this account; the signature is not checked, it says which account."""
        scope = f"{self._key}/20261122/{self.cloud.region}/execute-api/aws4_request"
        request = urllib.request.Request(
            url, headers={"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}"}
        )
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def api(self, target_arn: str) -> str:
        """Create an HTTP API that sends everything to a function and return its address."""
        gateway = self.client("apigatewayv2")
        api = gateway.create_api(Name="test", ProtocolType="HTTP")
        integration = gateway.create_integration(
            ApiId=api["ApiId"],
            IntegrationType="AWS_PROXY",
            IntegrationUri=target_arn,
            PayloadFormatVersion="2.0",
        )["IntegrationId"]
        for route in ("ANY /{proxy+}", "ANY /"):
            gateway.create_route(ApiId=api["ApiId"], RouteKey=route, Target=f"integrations/{integration}")
        gateway.create_stage(ApiId=api["ApiId"], StageName="$default", AutoDeploy=True)
        return str(api["ApiEndpoint"])

    def stack(
        self, name: str, resources: dict[str, Any], outputs: dict[str, Any] | None = None
    ) -> dict[str, str]:
        """Create or update a stack, wait for its end, and return its outputs and its status."""
        cloudformation = self.client("cloudformation")
        template = {"Resources": resources, "Outputs": {k: {"Value": v} for k, v in (outputs or {}).items()}}
        arguments = {
            "StackName": name,
            "TemplateBody": json.dumps(template),
            "Capabilities": ["CAPABILITY_IAM"],
        }
        try:
            cloudformation.create_stack(**arguments)
        except cloudformation.exceptions.AlreadyExistsException:
            cloudformation.update_stack(**arguments)
        return self.stack_at_rest(name)

    def stack_at_rest(self, name: str) -> dict[str, str]:
        """Wait until nothing happens in the stack any more."""
        cloudformation = self.client("cloudformation")
        while True:
            stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
            if not stack["StackStatus"].endswith("_IN_PROGRESS"):
                outputs = {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])}
                return {**outputs, "StackStatus": stack["StackStatus"]}


def _running(home: Path, **kind: Any) -> Iterator[Account]:
    with pytest.MonkeyPatch.context() as environment:
        # A killed test run must leave no cloud behind.
        environment.setenv("SWITCHYARD_CLOUD_PARENT_PID", str(os.getpid()))
        cloud = local_cloud.start(home, **kind)
    try:
        yield Account(cloud)
    finally:
        local_cloud.stop(home)


@pytest.fixture(scope="session")
def account(cloud: Cloud) -> Account:
    return Account(cloud)


@pytest.fixture
def fresh_account(tmp_path: Path) -> Iterator[Account]:
    """A cloud that nothing was ever done in."""
    yield from _running(tmp_path / "fresh")


@pytest.fixture(scope="session")
def strict_account(strict_cloud: Cloud) -> Account:
    return Account(strict_cloud)


@pytest.fixture(scope="session")
def stock_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """The embedded cloud without our extension: what it does shows that a patch is still needed."""
    running = _running(tmp_path_factory.mktemp("stock"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SWITCHYARD_CLOUD_STOCK", "1")
        stock = next(running)
    yield stock
    next(running, None)


@pytest.fixture(scope="session")
def stock_strict_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """The embedded cloud without our extension, with signatures checked and policies enforced."""
    running = _running(tmp_path_factory.mktemp("stock-strict"), strict=True)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SWITCHYARD_CLOUD_STOCK", "1")
        stock = next(running)
    yield stock
    next(running, None)


@pytest.fixture
def archive() -> Callable[[dict[str, str | bytes]], bytes]:
    return zipped
