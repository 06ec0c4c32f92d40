"""``infra.preflight``: what AWS would refuse is refused here first (law 8)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from catalog.front import Caller
from catalog.schema import Model
from infra import preflight
from infra.bundles import Tree
from infra.errors import PreflightError

MB = 1_048_576


def layer(root: Path, folder: str, **facts: str) -> Path:
    path = root / folder
    (path / "python").mkdir(parents=True)
    (path / "python" / "code.py").write_text("")
    if facts:
        path.with_name(path.name + ".json").write_text(json.dumps(facts))
    return path


@pytest.mark.parametrize(
    ("folder", "command"),
    [
        ("build/layers/local", "`python -m layers.build --for local`"),
        ("build/layers/x86_64", "`python -m layers.build --for x86_64`"),
        ("build/own layer", "`python -m layers.build --for x86_64 --out 'build/own layer'`"),
    ],
)
def test_a_layer_that_is_not_built_is_refused_with_the_command_that_builds_it(
    tmp_path: Path, folder: str, command: str
) -> None:
    """Law 8: without it, the function would be found broken after the deploy."""
    with pytest.raises(PreflightError, match=f"`{folder}` is not built") as caught:
        preflight.check_runtime_layer(folder, root=tmp_path)
    assert command in str(caught.value.hint)


def test_a_layer_says_for_which_python_it_is(tmp_path: Path) -> None:
    built = Tree(layer(tmp_path, "build/layers/x86_64", python="3.13"), "", {})
    assert preflight.layer_python(built) == "3.13"
    assert preflight.layer_python(Tree(layer(tmp_path, "stand-in", target="local"), "", {})) is None


def test_a_layer_whose_build_broke_off_is_refused(tmp_path: Path) -> None:
    """Law 8: facts are written last, so a layer without facts is half a layer."""
    layer(tmp_path, "build/layers/x86_64")
    with pytest.raises(PreflightError, match=r"was not finished: `x86_64\.json` is missing"):
        preflight.check_runtime_layer("build/layers/x86_64", root=tmp_path)


def test_a_finished_layer_is_measured(tmp_path: Path) -> None:
    path = layer(tmp_path, "build/layers/x86_64", target="x86_64")
    assert preflight.check_runtime_layer("build/layers/x86_64", root=tmp_path).path == path


@pytest.mark.parametrize(
    ("architecture", "target", "machine", "fits"),
    [
        ("x86_64", "x86_64", "x86_64", True),
        ("arm64", "arm64", "aarch64", True),
        ("arm64", "x86_64", "x86_64", False),
        ("x86_64", "arm64", "aarch64", False),
        ("x86_64", "local", "aarch64", True),
    ],
)
def test_a_layer_for_another_processor_is_refused(
    tmp_path: Path, architecture: str, target: str, machine: str, fits: bool
) -> None:
    """Law 8: Lambda would accept it, and every invocation would fail."""
    path = layer(tmp_path, target, target=target, machine=machine)
    model = Model.model_validate({"name": "digits", "target": "lambda", "architecture": architecture})
    if fits:
        preflight.check_machine(model, Tree(path, "0" * 64, {}))
        return
    with pytest.raises(PreflightError, match=f"`digits` runs on {architecture}.*built for {machine}"):
        preflight.check_machine(model, Tree(path, "0" * 64, {}))


def test_what_is_left_for_the_model_is_known() -> None:
    trees = (
        Tree(Path("x86_64"), "", {"python/numpy": 100 * MB}),
        Tree(Path("inference"), "", {"functions": MB}),
    )
    assert preflight.check_size("digits", *trees) == 149 * MB


def test_too_much_code_is_refused_with_its_largest_folders() -> None:
    """Law 8: CloudFormation finds the 250 MB limit only when it creates the function."""
    tree = Tree(Path("x86_64"), "", {"python/torch": 240 * MB, "python/numpy": 30 * MB, "python/a": 1})
    with pytest.raises(PreflightError, match=r"270\.0 MB.*250 MB") as caught:
        preflight.check_size("digits", tree)
    assert "x86_64/python/torch 240.0 MB, x86_64/python/numpy 30.0 MB" in str(caught.value)


def test_exactly_the_limit_leaves_no_room_for_a_model() -> None:
    with pytest.raises(PreflightError):
        preflight.check_size("digits", Tree(Path("x86_64"), "", {"python": 250 * MB}))


def test_an_environment_over_four_kilobytes_is_refused() -> None:
    """Law 8."""
    fits = {"NAME": "x" * (4096 - 4)}
    assert preflight.check_environment("switchyard-prod-Front", fits) == fits
    with pytest.raises(PreflightError, match="`switchyard-prod-Front` take 4097 bytes"):
        preflight.check_environment("switchyard-prod-Front", {"NAME": "x" * (4096 - 3)})


def test_more_routes_than_an_api_has_are_refused() -> None:
    """Law 8: the 301st route would fail in the middle of a deploy."""
    models = {
        f"m{number}": Model.model_validate({"name": f"m{number}", "target": "lambda"})
        for number in range(149)
    }
    preflight.check_routes(models, own_routes=2)
    with pytest.raises(PreflightError, match="need 301 routes"):
        preflight.check_routes(models, own_routes=3)


def served(**settings: object) -> Model:
    return Model.model_validate({"name": "large", "target": "lambda", **settings})


@pytest.mark.parametrize(
    ("settings", "slow"),
    [
        ({}, False),
        ({"ephemeral_mb": 512}, False),
        ({"ephemeral_mb": 572, "snapstart": False}, False),
        ({"ephemeral_mb": 573, "snapstart": False}, True),
        ({"ephemeral_mb": 7_000, "snapstart": False, "provisioned_concurrency": 1}, False),
        ({"ephemeral_mb": 10_240, "snapstart": False, "provisioned_concurrency": 1}, True),
    ],
)
def test_a_tmp_that_takes_longer_to_fill_than_a_start_may_take_is_said(
    settings: dict[str, object], slow: bool
) -> None:
    """Law 8, as a warning: it is an estimate, and no version is that large yet."""
    assert (preflight.warn_of_slow_start(served(**settings)) is not None) is slow


def test_a_copy_in_the_same_region_is_refused() -> None:
    preflight.check_elsewhere("eu-central-1", "eu-west-1")
    with pytest.raises(PreflightError, match="one disaster takes both") as refused:
        preflight.check_elsewhere("eu-west-1", "eu-west-1")
    assert "another `region`" in (refused.value.hint or "")


REST_CALLER = Caller(rate=1, burst=1)


def so_many(count: int, **settings: Any) -> dict[str, Model]:
    names = [f"m{number}" for number in range(count)]
    return {name: Model.model_validate({"name": name, "target": "lambda", **settings}) for name in names}


def test_a_function_gives_up_before_a_rest_api_does() -> None:
    """Law 8: else the caller hears from the API what the function would have explained."""
    preflight.check_rest_api(so_many(1, timeout_s=28), callers={})
    with pytest.raises(PreflightError, match="a REST API waits 29 s") as caught:
        preflight.check_rest_api(so_many(1, timeout_s=29), callers={})
    assert "at most 28" in str(caught.value.hint)


def test_a_rest_api_has_room_for_so_many_aliases_and_callers() -> None:
    preflight.check_rest_api(so_many(85), callers={"shop": REST_CALLER})
    with pytest.raises(PreflightError, match="a stack has at most 500"):
        preflight.check_rest_api(so_many(100), callers={})
    with pytest.raises(PreflightError, match="a stack has at most 500"):
        preflight.check_rest_api(so_many(50), callers=dict.fromkeys(map(str, range(80)), REST_CALLER))
    with pytest.raises(PreflightError, match="a REST API has at most 300"):
        preflight.check_rest_api(so_many(150), callers={})
