"""For whom a layer is built."""

import sys

from layers.targets import TARGETS, glibc_platforms, local


def test_the_local_layer_is_for_the_interpreter_that_builds_it() -> None:
    assert local().python == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert local().pip_options == []


def test_a_lambda_layer_takes_wheels_for_lambda_and_for_older_systems_only() -> None:
    options = TARGETS["arm64"].pip_options
    assert options[:4] == ["--implementation", "cp", "--python-version", "3.13"]
    tags = [tag for tag in options if tag.startswith("manylinux")]
    assert tags[0] == "manylinux_2_34_aarch64"
    assert {"manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"} <= set(tags)
    assert not any("x86_64" in tag for tag in tags)


def test_newer_wheels_are_preferred() -> None:
    assert glibc_platforms("x86_64", 18) == (
        "manylinux_2_18_x86_64",
        "manylinux_2_17_x86_64",
        "manylinux2014_x86_64",
    )


def test_every_layer_has_a_sister_with_the_text_operators_and_one_that_reads_pictures() -> None:
    plain = {name for name, target in TARGETS.items() if not target.text and not target.image}
    assert TARGETS.keys() == plain | {f"{name}-{what}" for name in plain for what in ("text", "image")}
    for what in ("text", "image"):
        assert TARGETS[f"arm64-{what}"].pip_options == TARGETS["arm64"].pip_options
