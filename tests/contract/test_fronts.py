"""The laws of ``releases.adoption.Fronts``, held against memory and against the adapter of API Gateway.

The adapter meets a played client here: moto's API Gateway needs a package more. The embedded cloud's is met in
``tests/end_to_end/test_several_aliases.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from releases.adapters.http_apis import HttpApiFronts
from releases.adapters.memory_fronts import MemoryFronts
from releases.adoption import Fronts, Integration
from releases.errors import NotDeployedError

OLD = "arn:aws:lambda:us-east-1:123456789012:function:scores:prod"
NEW = "arn:aws:lambda:us-east-1:123456789012:function:switchyard-prod-digits:live"
ROUTE = "POST /v2/models/digits/infer"


@dataclass
class Scene:
    """An API with one integration that leads somewhere and one that leads elsewhere."""

    fronts: Fronts
    api: str
    allowed: Callable[[], int]


def _in_memory() -> Scene:
    items = [Integration("a", OLD, (ROUTE,)), Integration("b", "https://example.com", (), form="1.0")]
    fronts = MemoryFronts({"api": items})
    return Scene(fronts, "api", lambda: len(fronts.allowed))


class Gateway:
    """API Gateway and Lambda as far as the adapter calls them: the same shapes, pages of one item, and errors."""

    def __init__(self) -> None:
        led = {"IntegrationId": "a", "IntegrationUri": OLD, "PayloadFormatVersion": "2.0"}
        other = {"IntegrationId": "b", "IntegrationUri": "https://example.com", "PayloadFormatVersion": "1.0"}
        self.items: list[dict[str, Any]] = [led, other]
        self.statements: set[str] = set()

    def get_routes(self, *, ApiId: str, NextToken: str = "") -> dict[str, Any]:  # noqa: N803
        self._must_be(ApiId == "api")
        return {"Items": [{"RouteKey": ROUTE, "Target": "integrations/a"}]}

    def get_integrations(self, *, ApiId: str, NextToken: str = "0") -> dict[str, Any]:  # noqa: N803
        self._must_be(ApiId == "api")
        at = int(NextToken)
        more = {"NextToken": str(at + 1)} if at + 1 < len(self.items) else {}
        return {"Items": [dict(self.items[at])], **more}

    def update_integration(self, *, ApiId: str, IntegrationId: str, **changes: str) -> None:  # noqa: N803
        found = [item for item in self.items if item["IntegrationId"] == IntegrationId]
        self._must_be(ApiId == "api" and bool(found))
        found[0].update(changes)

    def get_function_configuration(self, *, FunctionName: str) -> dict[str, str]:  # noqa: N803
        return {"FunctionArn": f"arn:aws:lambda:us-east-1:123456789012:function:{FunctionName}"}

    def add_permission(self, *, StatementId: str, SourceArn: str, **_: str) -> None:  # noqa: N803
        assert SourceArn == "arn:aws:execute-api:us-east-1:123456789012:api/*"
        if StatementId in self.statements:
            raise ClientError({"Error": {"Code": "ResourceConflictException"}}, "AddPermission")
        self.statements.add(StatementId)

    @staticmethod
    def _must_be(there: bool) -> None:
        if not there:
            raise ClientError({"Error": {"Code": "NotFoundException", "Message": "gone"}}, "GetIntegration")


def _in_api_gateway() -> Scene:
    played = Gateway()
    return Scene(HttpApiFronts(apis=played, functions=played), "api", lambda: len(played.statements))


@pytest.fixture(params=[_in_memory, _in_api_gateway], ids=["memory", "api gateway"])
def scene(request: pytest.FixtureRequest) -> Scene:
    made: Scene = request.param()
    return made


def found(scene: Scene, uri: str) -> Integration:
    (item,) = [item for item in scene.fronts.integrations(scene.api) if item.uri == uri]
    return item


def test_an_integration_says_where_it_leads_and_for_which_routes(scene: Scene) -> None:
    item = found(scene, OLD)
    assert (item.routes, item.note, item.form) == ((ROUTE,), "", "2.0")
    assert found(scene, "https://example.com").routes == ()


def test_what_is_led_reads_back_and_others_stay(scene: Scene) -> None:
    before = found(scene, OLD)
    for _ in range(2):
        scene.fronts.lead(scene.api, before.id, uri=NEW, note="why")
        after = found(scene, NEW)
        assert (after.id, after.routes, after.note, after.form) == (before.id, before.routes, "why", "2.0")
    assert found(scene, "https://example.com").note == ""


def test_letting_in_twice_is_letting_in_once(scene: Scene) -> None:
    for _ in range(2):
        scene.fronts.let_in(scene.api, "switchyard-prod-digits", "live")
    assert scene.allowed() == 1


def test_what_is_not_there_is_said_to_be_not_there(scene: Scene) -> None:
    with pytest.raises(NotDeployedError):
        scene.fronts.integrations("nothing")
    with pytest.raises(NotDeployedError):
        scene.fronts.lead(scene.api, "nothing", uri=NEW, note="")
