"""``functions.inference.doors.explanations``: only where the catalog says so."""

from __future__ import annotations

from functions.inference.doors.explanations import explain_routes
from functions.inference.released import Unreleased
from functions.inference.service import ModelService
from model_store.contract.environment import EXPLAIN
from tests.unit.functions.conftest import Layer


def test_without_the_catalogs_word_nothing_is_explained(linear_layer: Layer) -> None:
    assert explain_routes(ModelService(linear_layer.load()), {}) == {}


def test_with_it_the_model_and_its_version_have_the_route(linear_layer: Layer) -> None:
    routes = explain_routes(ModelService(linear_layer.load()), {EXPLAIN: "1"})
    assert sorted(routes) == [
        ("POST", "/v2/models/digits/explain"),
        ("POST", "/v2/models/digits/versions/2/explain"),
    ]


def test_before_the_first_release_there_is_nothing_to_explain() -> None:
    assert explain_routes(ModelService(Unreleased("digits")), {EXPLAIN: "1"}) == {}
