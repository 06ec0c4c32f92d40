"""``load_catalog``: one file in, a checked catalog out, or every mistake with its remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog import load_catalog
from model_store.contract.errors import CatalogError

GOOD = """
[stages.local]
auth = "none"
keep_data = false
runtime_layer = "build/layers/local"

[stages.prod]
runtime_layer = "build/layers/x86_64"

[models.digits]
target = "lambda"
memory_mb = 1024

[models.digits.stages.local]
memory_mb = 512
aliases = ["live", "candidate"]
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "models.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(tmp_path: Path, text: str) -> tuple[str, str]:
    with pytest.raises(CatalogError) as caught:
        load_catalog(written(tmp_path, text))
    return str(caught.value), str(caught.value.hint)


def test_a_stage_says_what_it_does_not_override_as_everywhere(tmp_path: Path) -> None:
    catalog = load_catalog(written(tmp_path, GOOD))
    assert catalog.models_for("local")["digits"].memory_mb == 512
    assert catalog.models_for("local")["digits"].aliases == ("live", "candidate")
    assert catalog.models_for("prod")["digits"].memory_mb == 1024
    assert catalog.models_for("prod")["digits"].aliases == ("live",)
    assert catalog.models_for("local")["digits"].timeout_s == catalog.models_for("prod")["digits"].timeout_s


def test_authorisation_is_iam_and_data_is_kept_unless_said_otherwise(tmp_path: Path) -> None:
    prod = load_catalog(written(tmp_path, GOOD)).stage("prod")
    assert (prod.auth, prod.keep_data) == ("iam", True)


def test_the_catalog_of_the_repository_loads() -> None:
    catalog = load_catalog(Path(__file__).parents[3] / "models.toml")
    assert set(catalog.stages) == {"local", "prod"}
    assert catalog.stage("local").auth == "none"
    assert catalog.stage("prod").auth == "iam"
    assert "digits" in catalog.models_for("prod")


def test_an_unknown_stage_is_answered_with_the_stages_there_are(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="no stage `staging`") as caught:
        load_catalog(written(tmp_path, GOOD)).stage("staging")
    assert caught.value.hint == "Choose `local` or `prod`."


@pytest.mark.parametrize(
    ("change", "key", "found", "remedy"),
    [
        (("memory_mb = 1024", "memory_mb = 64"), "models.digits.memory_mb", "`64`", "128 to 10240"),
        (("memory_mb = 1024", "memory_mb = 20000"), "models.digits.memory_mb", "`20000`", "128 to 10240"),
        (("memory_mb = 1024", 'memory_mb = "1024"'), "models.digits.memory_mb", '`"1024"`', "whole number"),
        (("memory_mb = 1024", "memory_mb = true"), "models.digits.memory_mb", "`true`", "whole number"),
        (("memory_mb = 512", "memory_mb = 64"), "models.digits.stages.local.memory_mb", "`64`", "128"),
        (("memory_mb = 1024", "timeout_s = 30"), "models.digits.timeout_s", "HTTP API waits 30 s", "1 to 29"),
        (("memory_mb = 1024", "snapstart = 1"), "models.digits.snapstart", "`1`", "`true` or `false`"),
        (("memory_mb = 1024", "memory_gb = 1"), "models.digits.memory_gb", "unknown key", "`memory_mb`?"),
        (
            ("memory_mb = 512", "memroy_mb = 5"),
            "models.digits.stages.local.memroy_mb",
            "unknown",
            "`memory_mb`?",
        ),
        (("memory_mb = 1024", 'architecture = "arm"'), "models.digits.architecture", '"arm"', "`arm64`"),
        (("memory_mb = 1024", "rollback_depth = 0"), "models.digits.rollback_depth", "`0`", "1 to 10"),
        (("memory_mb = 1024", "max_batch = 0"), "models.digits.max_batch", "`0`", "1 to 100000"),
        (
            ("memory_mb = 1024", "snapstart = false\nprovisioned_concurrency = 1001"),
            "models.digits.provisioned_concurrency",
            "`1001`",
            "0 to 1000",
        ),
        (
            ("memory_mb = 1024", "provisioned_concurrency = 5"),
            "models.digits",
            "both SnapStart and provisioned concurrency",
            "`snapstart = false`",
        ),
        (
            ("memory_mb = 512", "provisioned_concurrency = 5"),
            "models.digits",
            "provisioned concurrency on stage `local`",
            "`snapstart = false`",
        ),
        (
            ("memory_mb = 1024", "snapstart = false\nephemeral_mb = 256"),
            "models.digits.ephemeral_mb",
            "`256`",
            "512 to 10240",
        ),
        (
            ("memory_mb = 1024", "ephemeral_mb = 513"),
            "models.digits",
            "has SnapStart and `ephemeral_mb = 513`, and AWS allows SnapStart with at most 512 MB of `/tmp`",
            "Write `snapstart = false`, or `ephemeral_mb = 512`.",
        ),
        (
            ("memory_mb = 512", "ephemeral_mb = 2048"),
            "models.digits",
            "`ephemeral_mb = 2048` on stage `local`, and AWS allows SnapStart",
            "`snapstart = false`",
        ),
        (("memory_mb = 1024", 'name = "other"'), "models.digits.name", "unknown key", "[models.digits]"),
        (
            ('["live", "candidate"]', '["candidate"]'),
            "models.digits.stages.local.aliases",
            "without `live`",
            "Add",
        ),
        (('["live", "candidate"]', '["live", "live"]'), "stages.local.aliases", "twice", "once"),
        (('["live", "candidate"]', '["live", "v7"]'), "aliases[1]", "reads like a version", "`candidate`"),
        (('["live", "candidate"]', '"live"'), "models.digits.stages.local.aliases", '`"live"`', "a list"),
        (
            ('target = "lambda"', 'target = "lamda"'),
            "models.digits.target",
            "`lamda`",
            "Did you mean `lambda`?",
        ),
        (('target = "lambda"', ""), "models.digits.target", "missing", 'target = "lambda"'),
        (('target = "lambda"', "target = 1"), "models.digits.target", "`1`", "`lambda`"),
        (
            ("digits.stages.local", "digits.stages.locla"),
            "models.digits.stages.locla",
            "not declared",
            "`local`?",
        ),
        (("[models.digits", "[models.Digits"), "models.Digits", "`Digits` is not a model name", "lower-case"),
        (
            ("[stages.prod]", "[stages.prod-eu]"),
            "stages.prod-eu",
            "`prod-eu` is not a stage name",
            "lower-case",
        ),
        (('auth = "none"', 'auth = "cognito"'), "stages.local.auth", '"cognito"', "`iam`"),
        (('auth = "none"', "account = 12"), "stages.local.account", "`12`", "in quotes"),
        (('auth = "none"', 'region = "Frankfurt"'), "stages.local.region", "`Frankfurt`", "eu-central-1"),
        (('auth = "none"', "log_retention_days = 8"), "stages.local.log_retention_days", "`8`", "7, 14"),
        (
            ('auth = "none"', 'collectors = ["ana"]'),
            "stages.local.collectors[0]",
            "not the ARN of a role",
            "whole",
        ),
        (
            (
                'auth = "none"',
                'replica = { bucket = "copy", key = "arn:aws:kms:eu-west-1:123456789012:key/1" }',
            ),
            "stages.local.replica.bucket",
            "not the ARN of a bucket",
            "arn:aws:s3:::models-copy",
        ),
        (
            ('auth = "none"', 'replica = { bucket = "arn:aws:s3:::models-copy" }'),
            "stages.local.replica",
            "neither one `region` nor one `bucket` with its `key`",
            "the copy is made there",
        ),
        (
            ('auth = "none"', 'region = "eu-west-1"\nreplica = { region = "eu-west-1" }'),
            "stages.local",
            "one disaster takes both",
            "another region",
        ),
        (('"build/layers/local"', '"/etc"'), "stages.local.runtime_layer", "`/etc`", "relative"),
        (('runtime_layer = "build/layers/x86_64"', ""), "stages.prod.runtime_layer", "missing", "Add"),
        (("[models.digits]", "[model.digits]"), "model", "unknown key", "`models`?"),
    ],
)
def test_a_mistake_is_named_by_file_key_and_remedy(
    tmp_path: Path, change: tuple[str, str], key: str, found: str, remedy: str
) -> None:
    before, after = change
    assert before in GOOD
    message, hint = refused(tmp_path, GOOD.replace(before, after))
    assert "`models.toml`" in message
    assert f"{key}`" in message
    assert found in message
    assert remedy in message + hint


def test_a_single_mistake_carries_its_remedy_as_the_hint(tmp_path: Path) -> None:
    message, hint = refused(tmp_path, GOOD.replace("memory_mb = 1024", "memory_mb = 64"))
    assert message == (
        "`models.toml`: `models.digits.memory_mb` is `64`, outside 128 to 10240 MB: "
        "Lambda gives a function no other amount"
    )
    assert hint == "Write a whole number from 128 to 10240."


def test_several_mistakes_are_told_together(tmp_path: Path) -> None:
    message, _ = refused(
        tmp_path, GOOD.replace("memory_mb = 1024", "memory_mb = 1\ntimeout_s = 90").replace('"none"', '"key"')
    )
    assert message.startswith("`models.toml` has 3 mistakes")
    for key in ("models.digits.memory_mb", "models.digits.timeout_s", "stages.local.auth"):
        assert f"`{key}`" in message


def test_broken_toml_is_placed_by_line_and_column(tmp_path: Path) -> None:
    message, hint = refused(tmp_path, "[stages.prod]\nruntime_layer = build/x86\n")
    assert "line 2, column 17" in message
    assert hint.startswith("Correct that line")


def test_a_key_written_twice_is_placed_too(tmp_path: Path) -> None:
    message, _ = refused(tmp_path, GOOD.replace("memory_mb = 1024", "memory_mb = 1\nmemory_mb = 2"))
    assert "line 13" in message


def test_a_missing_file_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="there is no catalog at") as caught:
        load_catalog(tmp_path / "elsewhere.toml")
    assert "elsewhere.toml" in str(caught.value)


def test_a_folder_instead_of_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="cannot be read"):
        load_catalog(tmp_path)


def test_bytes_that_are_not_text_are_refused_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_bytes(b"# fine\n# \xff\n")
    with pytest.raises(CatalogError, match=r"not UTF-8 text \(line 2\)"):
        load_catalog(path)


@pytest.mark.parametrize("text", ["", "[stages]", "[models.digits]\ntarget = 'lambda'"])
def test_a_catalog_without_a_stage_is_refused(tmp_path: Path, text: str) -> None:
    message, hint = refused(tmp_path, text)
    assert "`stages`" in message
    assert "[stages.prod]" in hint


@pytest.mark.parametrize("text", ["stages = 1", "models = []", "[stages]\nprod = 3"])
def test_a_value_where_a_table_belongs_is_refused(tmp_path: Path, text: str) -> None:
    message, _ = refused(tmp_path, text)
    assert "not a table" in message


def test_a_catalog_may_hold_no_model_yet(tmp_path: Path) -> None:
    catalog = load_catalog(written(tmp_path, '[stages.prod]\nruntime_layer = "build/layers/x86_64"\n'))
    assert catalog.models_for("prod") == {}


JWT = """
[stages.prod]
auth = "jwt"
runtime_layer = "build/layers/x86_64"

[stages.prod.jwt]
issuer = "https://login.example/tenant/"
audience = ["models"]
"""


def test_a_stage_says_whose_tokens_it_takes(tmp_path: Path) -> None:
    jwt = load_catalog(written(tmp_path, JWT + 'scopes = ["models/infer"]')).stage("prod").jwt
    assert jwt is not None
    assert (jwt.issuer, jwt.audience, jwt.scopes) == (
        "https://login.example/tenant/",
        ("models",),
        ("models/infer",),
    )


@pytest.mark.parametrize(
    ("right", "wrong", "fact", "remedy"),
    [
        ("https://login", "http://login", "not an issuer that API Gateway asks", "https"),
        ("/tenant/", "/tenant?x=1", "not an issuer that API Gateway asks", "iss"),
        ("https://login.example/tenant/", "login.example", "not an issuer", "https"),
        ('["models"]', "[]", "every token of this issuer would do", "aud"),
        ('["models"]', '["models", ""]', "none may be empty", "1 to 50"),
        ("audience", "audiences", "`stages.prod.jwt.audiences` is an unknown key", "Did you mean `audience`?"),
        ("[stages.prod.jwt]", "[stages.other]", "does not say whose tokens", "[stages.prod.jwt]"),
        ('auth = "jwt"', 'auth = "iam"', 'a table `jwt` and `auth = "iam"`', 'auth = "jwt"'),
        ('["models"]', '["models"]\nscopes = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"]',
         "up to 10 scopes", "1 to 10"),
    ],
)  # fmt: skip
def test_what_api_gateway_would_not_take_is_refused_here(
    tmp_path: Path, right: str, wrong: str, fact: str, remedy: str
) -> None:
    """Law 8."""
    message, hint = refused(tmp_path, JWT.replace(right, wrong))
    assert fact in message
    assert remedy in message + hint
