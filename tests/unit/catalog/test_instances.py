"""``catalog.instances``: the instance types that AWS offers, and what their names say."""

import botocore.session
import pytest

from catalog.instances import device_of, has_local_disk, known_types, machine_of, nearest_type


@pytest.mark.parametrize(
    ("target", "service", "shape"),
    [("sagemaker", "sagemaker", "ProductionVariantInstanceType"), ("ec2", "ec2", "InstanceType")],
)
def test_every_type_that_the_installed_api_model_knows_is_known(
    target: str, service: str, shape: str
) -> None:
    """Law 8: the file is written again when AWS's own list has grown."""
    model = botocore.session.get_session().get_service_model(service)
    offered = set(model.shape_for(shape).metadata["enum"])
    assert offered <= known_types(target)


def test_a_type_is_known_to_its_target_only() -> None:
    assert "ml.g5.xlarge" in known_types("sagemaker")
    assert "g5.xlarge" in known_types("ec2")
    assert not known_types("sagemaker") & known_types("ec2")


def test_a_misspelled_type_has_a_neighbour() -> None:
    assert nearest_type("ec2", "g5.xlrge") == "g5.xlarge"
    assert nearest_type("ec2", "enormous") is None


@pytest.mark.parametrize(
    ("type_", "device", "machine"),
    [
        ("ml.g5.xlarge", "cuda", "x86_64"),
        ("g4dn.xlarge", "cuda", "x86_64"),
        ("p5en.48xlarge", "cuda", "x86_64"),
        ("g5g.xlarge", "cuda", "arm64"),
        ("p6e-gb200.36xlarge", "cuda", "arm64"),
        ("ml.c6gn.large", "cpu", "arm64"),
        ("im4gn.large", "cpu", "arm64"),
        ("a1.large", "cpu", "arm64"),
        ("m7i-flex.large", "cpu", "x86_64"),
        ("ml.inf2.xlarge", None, "x86_64"),
        ("trn1.2xlarge", None, "x86_64"),
        ("g4ad.xlarge", None, "x86_64"),
    ],
)
def test_the_name_of_a_type_says_which_device_and_processor_it_has(
    type_: str, device: str | None, machine: str
) -> None:
    assert (device_of(type_), machine_of(type_)) == (device, machine)


@pytest.mark.parametrize(
    ("type_", "there"),
    [
        ("ml.g4dn.xlarge", True),
        ("ml.g5.xlarge", True),
        ("ml.p4d.24xlarge", True),
        ("ml.c5d.large", True),
        ("g5g.xlarge", False),
        ("ml.p3.2xlarge", False),
        ("ml.m5.large", False),
        ("ml.c6g.large", False),
    ],
)
def test_machines_that_bring_a_disk_of_their_own_are_known(type_: str, there: bool) -> None:
    assert has_local_disk(type_) is there
