"""The hand-off is there where the deploy made a bucket for it, and costs nothing where not."""

from __future__ import annotations

from functions.inference.doors.payloads import handoff_routes
from tests.unit.functions.inference.doors.conftest import House


def test_without_a_bucket_there_is_no_hand_off(house: House) -> None:
    assert handoff_routes(house.service, {}) == {}


def test_with_a_bucket_there_is_a_way_to_it(house: House) -> None:
    routes = handoff_routes(house.service, {"SWITCHYARD_HANDOFF_BUCKET": "b"})
    assert sorted(routes) == [
        ("POST", "/v2/models/digits/infer"),
        ("POST", "/v2/models/digits/uploads"),
        ("POST", "/v2/models/digits/versions/2/infer"),
        ("POST", "/v2/models/digits/versions/2/uploads"),
    ]
