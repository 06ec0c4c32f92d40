"""``catalog.front``: what only a REST API offers, said whole or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog import Stage, load_catalog
from tests.unit.catalog.test_load import refused, written

REST = """
[stages.prod]
api = "rest"
auth = "none"
runtime_layer = "build/layers/x86_64"
"""


def stage(tmp_path: Path, more: str) -> Stage:
    return load_catalog(written(tmp_path, REST + more)).stage("prod")


def test_a_stage_has_an_http_api_unless_it_says_otherwise(tmp_path: Path) -> None:
    prod = load_catalog(written(tmp_path, REST.replace('api = "rest"\n', ""))).stage("prod")
    assert (prod.api, prod.callers) == ("http", {})


def test_callers_have_rates_quotas_and_labels_of_keys(tmp_path: Path) -> None:
    said = stage(
        tmp_path,
        "[stages.prod.callers.shop]\nrate = 20\nburst = 40\nquota = 1_000\n"
        '[stages.prod.callers.batch]\nrate = 5\nburst = 5\nkeys = ["2026-11", "2026-12"]\n',
    )
    shop, batch = said.callers["shop"], said.callers["batch"]
    assert (shop.rate, shop.burst, shop.quota, shop.period, shop.keys) == (20, 40, 1_000, "month", ("first",))
    assert (batch.quota, batch.keys) == (None, ("2026-11", "2026-12"))


def test_a_door_may_be_private_and_have_a_firewall(tmp_path: Path) -> None:
    rest = stage(tmp_path, '[stages.prod.rest]\nvpc_endpoints = ["vpce-0123456789abcdef0"]\nwaf = {}\n').rest
    assert rest.vpc_endpoints == ("vpce-0123456789abcdef0",)
    assert rest.waf is not None
    assert (rest.waf.acl, rest.waf.rate_per_address, rest.logs_role) == (None, 10_000, True)


ACL = "arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/mine/0123-ab"
CALLER = "[stages.prod.callers.shop]\nrate = 1\nburst = 1\n"


@pytest.mark.parametrize(
    ("more", "fact", "remedy"),
    [
        ("[stages.prod.callers.Shop]\nrate = 1\nburst = 1", "no name of a caller", "up to 32"),
        (CALLER + 'period = "day"', "a `period` and no `quota`", "Write both"),
        (CALLER + 'period = "year"\nquota = 1', "`stages.prod.callers.shop.period`", ""),
        (CALLER + "keys = []", "a list of 0 labels", "Name 1 to 4 keys"),
        (CALLER + 'keys = ["a", "a"]', "a list of 2 labels", "another label"),
        (CALLER + 'keys = ["A secret!"]', "no label of a key", "never a key itself"),
        (CALLER + "value = 'x'", "`stages.prod.callers.shop.value` is an unknown key", ""),
        ("[stages.prod.callers.shop]\nrate = 0\nburst = 1", "outside 1 to 10000", "whole number"),
        ('[stages.prod.rest]\nvpc_endpoints = ["vpc-1"]', "not the id of a VPC endpoint", "vpce-"),
        (
            '[stages.prod.rest]\nvpc_endpoints = ["vpce-0123456789abcdef0", "vpce-0123456789abcdef0"]',
            "an endpoint twice",
            "each once",
        ),
        ('[stages.prod.rest.waf]\nacl = "mine"', "not the ARN of a regional web ACL", "arn:aws:wafv2"),
        (
            f'[stages.prod.rest.waf]\nrate_per_address = 20\nacl = "{ACL}"',
            "both `acl` and `rate_per_address`",
            "one of them",
        ),
        ("[stages.prod.rest.waf]\nrate_per_address = 9", "outside 10 to", "whole number"),
    ],
)
def test_what_a_rest_api_does_not_take_is_refused_with_what_it_takes(
    tmp_path: Path, more: str, fact: str, remedy: str
) -> None:
    """Law 8."""
    said, hint = refused(tmp_path, REST + more)
    assert fact in said
    assert remedy in hint


@pytest.mark.parametrize("more", [CALLER, "[stages.prod.rest]\nlogs_role = false"])
def test_what_only_a_rest_api_has_is_not_ignored_on_an_http_api(tmp_path: Path, more: str) -> None:
    said, hint = refused(tmp_path, REST.replace('"rest"', '"http"') + more)
    assert "an HTTP API, which knows neither callers' keys" in said
    assert 'api = "rest"' in hint


def test_there_are_no_more_callers_than_an_account_has_plans(tmp_path: Path) -> None:
    many = "".join(f"[stages.prod.callers.c{n}]\nrate = 1\nburst = 1\n" for n in range(301))
    said, _ = refused(tmp_path, REST + many)
    assert "has 301 callers" in said
