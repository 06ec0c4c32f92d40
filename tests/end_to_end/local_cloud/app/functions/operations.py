"""A custom resource as this project writes them: publishes a version and points the alias at it."""

import json
import urllib.request
from typing import Any

import boto3


def handler(event: dict[str, Any], context: object) -> None:
    answer = {key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")}
    try:
        data = {} if event["RequestType"] == "Delete" else point_alias(event["ResourceProperties"])
        answer |= {"Status": "SUCCESS", "PhysicalResourceId": "probe-alias", "Data": data}
    except Exception as error:  # noqa: BLE001  (whatever goes wrong must be answered)
        answer |= {"Status": "FAILED", "PhysicalResourceId": "probe-alias", "Reason": str(error)}
    request = urllib.request.Request(event["ResponseURL"], data=json.dumps(answer).encode(), method="PUT")
    urllib.request.urlopen(request).close()


def point_alias(properties: dict[str, Any]) -> dict[str, Any]:
    if properties["Fail"] == "yes":
        raise ValueError("told to fail")
    client = boto3.client("lambda")
    name = properties["FunctionName"]
    version = client.publish_version(FunctionName=name)["Version"]
    wanted = {"FunctionName": name, "Name": "live", "FunctionVersion": version}
    try:
        alias = client.create_alias(**wanted)
    except client.exceptions.ResourceConflictException:
        alias = client.update_alias(**wanted)
    return {"AliasArn": alias["AliasArn"]}
