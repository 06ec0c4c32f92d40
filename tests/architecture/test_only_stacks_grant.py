"""Who may do what stands in ``infra.stacks``, so that it can be read in one place."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

INFRA = Path(__file__).parents[2] / "infra"

GRANTING = (
    "grant",
    "add_to_policy",
    "add_to_role_policy",
    "add_to_principal_policy",
    "add_to_resource_policy",
)
GRANTS = {"PolicyStatement", "PolicyDocument", "ManagedPolicy", "Policy", "CfnPermission", "add_permission"}


def grants_in(source: str) -> set[str]:
    names = {node.attr for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)}
    return {name for name in names if name in GRANTS or name.startswith(GRANTING)}


@pytest.mark.parametrize("module", sorted(INFRA.glob("constructs/*.py")), ids=lambda path: path.stem)
def test_a_construct_grants_nothing(module: Path) -> None:
    assert grants_in(module.read_text("utf-8")) == set()


def test_the_stacks_are_where_grants_are_found() -> None:
    found = set().union(*(grants_in(path.read_text("utf-8")) for path in INFRA.glob("stacks/*.py")))
    assert {
        "grant_write",
        "add_to_policy",
        "add_to_resource_policy",
        "PolicyStatement",
        "CfnPermission",
    } <= found
