"""``catalog.heavy``: what a heavy model may say, and what AWS would refuse minutes into a deploy (law 8)."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog import Catalog, load_catalog
from catalog.heavy import seconds
from model_store.contract.errors import CatalogError

GOOD = """
[stages.local]
runtime_layer = "build/layers/local"

[stages.prod]
runtime_layer = "build/layers/x86_64"

[models.bert]
target = "sagemaker"
versions = [3, 4]
instance_type = "ml.g5.xlarge"
max_instances = 4
target_invocations_per_instance = 600
keep_warm = "2d"

[models.bert.stages.local]
versions = [1]
instance_type = "ml.m5.large"
"""


def read(folder: Path, text: str = GOOD) -> Catalog:
    (folder / "models.toml").write_text(text)
    return load_catalog(folder / "models.toml")


def test_a_heavy_model_lists_its_versions_and_machines_for_each_stage(tmp_path: Path) -> None:
    catalog = read(tmp_path)
    prod, local = (catalog.models_for(stage)["bert"] for stage in ("prod", "local"))
    assert prod.is_heavy
    assert (prod.versions, prod.instance_type, prod.min_instances, prod.max_instances) == (
        (3, 4),
        "ml.g5.xlarge",
        1,
        4,
    )
    assert (local.versions, local.instance_type) == ((1,), "ml.m5.large")
    assert seconds(prod.keep_warm) == 172_800


def test_a_heavy_model_may_have_no_version_yet(tmp_path: Path) -> None:
    catalog = read(tmp_path, GOOD.replace("versions = [3, 4]\n", ""))
    assert catalog.models_for("prod")["bert"].versions == ()


def test_length_of_time_is_read_in_minutes_hours_and_days() -> None:
    assert [seconds(text) for text in ("90m", "24h", "7d")] == [5_400, 86_400, 604_800]
    with pytest.raises(ValueError, match="not a duration"):
        seconds("1 day")


@pytest.mark.parametrize(
    ("change", "found", "remedy"),
    [
        (('"ml.g5.xlarge"', '"ml.g5.xlrge"'), "SageMaker does not offer", "Did you mean `ml.g5.xlarge`?"),
        (('"ml.g5.xlarge"', '"g5.xlarge"'), "`g5.xlarge`, which SageMaker does not offer", "ml.g5.xlarge"),
        (('"ml.g5.xlarge"', '"ml.inf2.xlarge"'), "no engine for", "NVIDIA"),
        (('instance_type = "ml.g5.xlarge"\n', ""), "no `instance_type`", "ml.g5.xlarge"),
        (
            ("max_instances = 4", "max_instances = 4\nmin_instances = 5"),
            "`4` below `min_instances` `5`",
            "floor",
        ),
        (("target_invocations_per_instance = 600\n", ""), "says not when", "target_invocations_per_instance"),
        (("max_instances = 4", "max_instances = 0"), "outside 1 to 1000", "1 to 1000"),
        (
            ("max_instances = 4", "max_instances = 4\nmin_instances = 0"),
            "nothing would add the first",
            "asynchronous",
        ),
        (
            ("max_instances = 4", "max_instances = 4\nasynchronous = {}"),
            "without `handoff`",
            "handoff = true",
        ),
        (
            ("max_instances = 4", "max_instances = 4\nhandoff = true\nasynchronous = {}"),
            "both `asynchronous` and `target_invocations_per_instance`",
            "backlog_per_instance",
        ),
        (
            ("max_instances = 4", "max_instances = 4\ncomponent = { memory_mb = 9000 }"),
            "reserves none of its GPUs",
            "gpus = 1",
        ),
        (
            ('"ml.m5.large"', '"ml.m5.large"\ncomponent = { memory_mb = 9000, gpus = 1 }'),
            "`ml.m5.large` has none",
            "Leave `gpus` out",
        ),
        (
            (
                "target_invocations_per_instance = 600",
                "handoff = true\nasynchronous = {}\ncomponent = { memory_mb = 9000, gpus = 1 }",
            ),
            "both `asynchronous` and `component`",
            "Leave one of them out",
        ),
        (
            ("max_instances = 4", 'max_instances = 4\nexplain = true\nimage = "registry/own:1"'),
            "both `explain` and `image`",
            "Leave one of them out",
        ),
        (
            (
                "target_invocations_per_instance = 600",
                "explain = true\nhandoff = true\nasynchronous = {}",
            ),
            "both `explain` and `asynchronous`",
            "Leave one of them out",
        ),
        (
            ("max_instances = 4", "max_instances = 4\nasynchronous = { timeout_s = 4000 }"),
            "outside 1 to 3600",
            "SageMaker",
        ),
        (
            ("max_instances = 4", 'max_instances = 4\nasynchronous = { expires = "7h" }'),
            "1 minute to 6 hours",
            "6h",
        ),
        (
            ("max_instances = 4", 'max_instances = 4\nadopted = ["switchyard-prod-bert"]'),
            "no endpoint that was there before",
            "not this project's own",
        ),
        (
            (
                "target_invocations_per_instance = 600",
                'adopted = ["theirs"]\ncomponent = { memory_mb = 9000, gpus = 1 }',
            ),
            "`adopted` and `component`",
            "Leave `component` out",
        ),
        (('"2d"', '"2 days"'), "not a length of time", "`24h`"),
        (("[3, 4]", "[3, 3]"), "names one version twice", "once"),
        (("[3, 4]", "[0]"), "names version `0`", "yard versions"),
        (("[3, 4]", '["3"]'), "a whole number", "a whole number"),
        (
            ("max_instances = 4", "max_instances = 4\nqueue = true"),
            "`queue`, which target",
            "Leave `queue` out",
        ),
        (('"sagemaker"', '"lambda"'), 'has `versions`, which target = "lambda"', "Leave `versions` out"),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(
    tmp_path: Path, change: tuple[str, str], found: str, remedy: str
) -> None:
    """Law 8."""
    before, after = change
    assert before in GOOD
    with pytest.raises(CatalogError) as caught:
        read(tmp_path, GOOD.replace(before, after, 1))
    said = f"{caught.value} {caught.value.hint}"
    assert "models.bert" in said
    assert found in said
    assert remedy in said


def test_a_model_may_answer_later_and_have_no_machine_meanwhile(tmp_path: Path) -> None:
    text = GOOD.replace(
        "target_invocations_per_instance = 600\n",
        "handoff = true\nmin_instances = 0\nasynchronous = { max_concurrent = 2 }\n",
    )
    text += "asynchronous = { timeout_s = 60 }\n"
    catalog = read(tmp_path, text)
    prod, local = (catalog.models_for(stage)["bert"] for stage in ("prod", "local"))
    assert prod.asynchronous
    assert local.asynchronous
    assert (prod.asynchronous.max_concurrent, prod.asynchronous.timeout_s, prod.min_instances) == (2, 900, 0)
    assert (local.asynchronous.max_concurrent, local.asynchronous.timeout_s) == (None, 60)


def test_only_sagemaker_has_a_queue_before_its_machines(tmp_path: Path) -> None:
    text = (
        GOOD.replace('"sagemaker"', '"ec2"')
        .replace('"ml.', '"')
        .replace("target_invocations_per_instance = 600\n", "handoff = true\nasynchronous = {}\n")
    )
    with pytest.raises(CatalogError, match='`asynchronous`, which target = "ec2" does not have'):
        read(tmp_path, text)


def test_a_stage_is_held_to_the_rules_as_it_stands(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"ml\.m5\.lage"):
        read(tmp_path, GOOD.replace("ml.m5.large", "ml.m5.lage"))


NETWORK = """
endpoint_image = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/endpoint:1"
endpoint_key = "arn:aws:kms:eu-central-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"
vpc_subnets = ["subnet-0123456789abcdef0"]
vpc_security_groups = ["sg-0123456789abcdef0"]
"""
PROD = GOOD.replace("[models.bert]", f"{NETWORK}[models.bert]", 1)


def test_a_stage_may_name_image_key_and_network_of_its_endpoints(tmp_path: Path) -> None:
    stage = read(tmp_path, PROD).stage("prod")
    assert stage.endpoint_image
    assert stage.endpoint_key
    assert (stage.vpc_subnets, stage.vpc_security_groups) == (
        ("subnet-0123456789abcdef0",),
        ("sg-0123456789abcdef0",),
    )


@pytest.mark.parametrize(
    ("change", "key", "found"),
    [
        (("endpoint:1", "end point"), "stages.prod.endpoint_image", "not a container image"),
        (("arn:aws:kms", "aws:kms"), "stages.prod.endpoint_key", "not the ARN of a KMS key"),
        (("subnet-0123456789abcdef0", "subnet-1"), "stages.prod.vpc_subnets", "not a subnet"),
        (("sg-0123456789abcdef0", "sg"), "stages.prod.vpc_security_groups", "not a security group"),
        (('["sg-0123456789abcdef0"]', "[]"), "stages.prod", "without `vpc_security_groups` or `vpc`"),
    ],
)
def test_what_is_no_image_key_or_network_is_refused(
    tmp_path: Path, change: tuple[str, str], key: str, found: str
) -> None:
    """Law 8."""
    before, after = change
    assert before in PROD
    with pytest.raises(CatalogError) as caught:
        read(tmp_path, PROD.replace(before, after, 1))
    assert key in str(caught.value)
    assert found in str(caught.value)


OWN = (
    GOOD
    + """
[models.bert.environment]
MAX_MODEL_LEN = "8192"
"""
)


def test_a_model_may_bring_its_container_for_any_accelerator_and_tell_it_things(tmp_path: Path) -> None:
    text = OWN.replace('"ml.g5.xlarge"', '"ml.inf2.xlarge"\nimage = "registry/neuron:1"')
    model = read(tmp_path, text).models["bert"]
    assert (model.image, model.environment) == ("registry/neuron:1", {"MAX_MODEL_LEN": "8192"})


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (("MAX_MODEL_LEN", "SWITCHYARD_DIGEST"), "which the stack sets itself"),
        (("MAX_MODEL_LEN", '"MAX LEN"'), "not a variable"),
        (('"8192"', '"' + "8" * 1_025 + '"'), "1025 bytes, and SageMaker takes 1024"),
        (('"8192"', "8192"), "not text in quotes"),
    ],
)
def test_a_variable_that_cannot_be_is_refused(tmp_path: Path, change: tuple[str, str], found: str) -> None:
    """Law 8."""
    with pytest.raises(CatalogError) as caught:
        read(tmp_path, OWN.replace(*change))
    assert found in str(caught.value)


EC2 = """
[stages.prod]
runtime_layer = "build/layers/x86_64"
vpc = "vpc-0123456789abcdef0"
vpc_subnets = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
grpc_certificate = "arn:aws:acm:eu-central-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"
grpc_callers = ["10.0.0.0/16"]

[models.clip]
target = "ec2"
instance_type = "g5.xlarge"
max_instances = 4
target_gpu_utilization = 70
warm_instances = 1
"""


def test_a_model_on_ec2_may_follow_its_gpus_and_keep_machines_warm(tmp_path: Path) -> None:
    catalog = read(tmp_path, EC2)
    model = catalog.models["clip"]
    assert (model.target_gpu_utilization, model.warm_instances, model.spot) == (70, 1, False)
    assert catalog.stage("prod").grpc_callers == ("10.0.0.0/16",)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (("warm_instances = 1", "warm_instances = 1\nspot = true"), "no warm pool where spot"),
        (('"g5.xlarge"', '"ml.g5.xlarge"'), "which EC2 does not offer"),
        (("= 70", "= 100"), "outside 10 to 95"),
        (("target_gpu_utilization = 70\n", ""), "says not when"),
        (('"vpc-0123456789abcdef0"', '"default"'), "not a VPC"),
        (('"10.0.0.0/16"', '"0.0.0.0/0"'), "which is everybody"),
        (('"10.0.0.0/16"', '"10.0.0.0/8/8"'), "not a network"),
        (("arn:aws:acm", "acm"), "not the ARN of a certificate"),
        (('grpc_callers = ["10.0.0.0/16"]\n', ""), "`grpc_callers` without `grpc_certificate`"),
        (
            ('target = "ec2"\ninstance_type = "', 'target = "sagemaker"\ninstance_type = "ml.'),
            "SageMaker keeps",
        ),
    ],
)
def test_what_ec2_cannot_do_is_refused(tmp_path: Path, change: tuple[str, str], found: str) -> None:
    """Law 8."""
    assert change[0] in EC2
    with pytest.raises(CatalogError) as caught:
        read(tmp_path, EC2.replace(*change, 1))
    assert found in str(caught.value)
