"""Rules of a model's load balancer through boto3: where gRPC calls go that name no endpoint.

The rules are the controller's, and in no template (ADR 33). Which target group an endpoint has is read from
the rules that its stack made: they name it in a header.

Sources: Elastic Load Balancing API reference, ``CreateRule``, ``ModifyRule``; user guide for Application Load
Balancers, "Quotas" (five target groups for an action, weights from 0 to 999).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

from model_store.contract.deployment import DEFAULT_ALIAS
from model_store.contract.endpoints import ALIAS_HEADER, ENDPOINT_HEADER, LAST_RULE, balancer_name
from model_store.contract.names import ByAlias
from releases.adapters.ec2 import _client
from releases.adapters.translated import translated
from releases.errors import DisagreementError, UnprovisionedError

_ALIAS_PLACES = range(1, 100)
"""Before the rules of endpoints. The default alias comes after them: whoever names an endpoint means it."""

_WHOLE = 999

Rule = dict[str, Any]


class ElbGrpcCalls:
    """``releases.ports.GrpcCalls`` on Elastic Load Balancing, for the models of one stage."""

    def __init__(self, stage: str, make: Callable[[str], Any] | None = None) -> None:
        self._stage = stage
        self._make = make or _client

    def led(self, model: str, alias: str) -> dict[str, float] | None:
        with translated(f"the gRPC calls of `{ByAlias(model, alias)}`"):
            listener = self._listener(model)
            if listener is None:
                return None
            rules = self._rules(listener)
        rule = _rule_for(rules, alias)
        if rule is None:
            return {}
        names = {group: name for name, group in _groups(rules).items()}
        return {names.get(group, group): share for group, share in _shares(rule).items()}

    def lead(self, model: str, alias: str, shares: Mapping[str, float]) -> None:
        with translated(f"the gRPC calls of `{ByAlias(model, alias)}`"):
            listener = self._listener(model)
            if listener is not None:
                self._lead(listener, ByAlias(model, alias), shares)

    def _lead(self, listener: str, ref: ByAlias, shares: Mapping[str, float]) -> None:
        rules = self._rules(listener)
        rule = _rule_for(rules, ref.alias)
        if not shares:
            if rule is not None:
                self._elbv2.delete_rule(RuleArn=rule["RuleArn"])
            return
        actions = [_forward(ref, _groups(rules), shares)]
        if rule is not None:
            self._elbv2.modify_rule(RuleArn=rule["RuleArn"], Actions=actions)
            return
        place = _place(rules, ref)
        conditions = [_condition(ref.alias)]
        self._elbv2.create_rule(ListenerArn=listener, Priority=place, Conditions=conditions, Actions=actions)

    def _listener(self, model: str) -> str | None:
        """The one that carries gRPC: the only one with TLS."""
        try:
            found = self._elbv2.describe_load_balancers(Names=[balancer_name(self._stage, model)])
        except ClientError as error:
            if error.response["Error"]["Code"] in ("LoadBalancerNotFound", "LoadBalancerNotFoundException"):
                return None
            raise
        (balancer,) = found["LoadBalancers"]
        listeners = self._elbv2.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
        return next((str(item["ListenerArn"]) for item in listeners if item["Protocol"] == "HTTPS"), None)

    def _rules(self, listener: str) -> list[Rule]:
        pages = self._elbv2.get_paginator("describe_rules").paginate(ListenerArn=listener)
        return [rule for page in pages for rule in page["Rules"]]

    @cached_property
    def _elbv2(self) -> Any:
        return self._make("elbv2")


def _groups(rules: list[Rule]) -> dict[str, str]:
    """The target group of each endpoint, from the rule that its stack made."""
    found = {}
    for rule in rules:
        header, values = _header(rule)
        if header == ENDPOINT_HEADER:
            (found[values[0]],) = _shares(rule)
    return found


def _rule_for(rules: list[Rule], alias: str) -> Rule | None:
    if alias == DEFAULT_ALIAS:
        return next((rule for rule in rules if rule["Priority"] == str(LAST_RULE)), None)
    return next((rule for rule in rules if _header(rule) == (ALIAS_HEADER, [alias])), None)


def _header(rule: Rule) -> tuple[str, list[str]]:
    for condition in rule.get("Conditions", ()):
        config = condition.get("HttpHeaderConfig")
        if config:
            return str(config["HttpHeaderName"]).lower(), list(config["Values"])
    return "", []


def _condition(alias: str) -> dict[str, Any]:
    if alias == DEFAULT_ALIAS:
        return {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/*"]}}
    config = {"HttpHeaderName": ALIAS_HEADER, "Values": [alias]}
    return {"Field": "http-header", "HttpHeaderConfig": config}


def _place(rules: list[Rule], ref: ByAlias) -> int:
    if ref.alias == DEFAULT_ALIAS:
        return LAST_RULE
    taken = {rule["Priority"] for rule in rules}
    free = next((place for place in _ALIAS_PLACES if str(place) not in taken), None)
    if free is None:
        raise DisagreementError(
            f"the load balancer of `{ref.model}` has no place left for a rule of `{ref}`",
            hint="Delete rules of aliases that are gone, below place 100.",
        )
    return free


def _shares(rule: Rule) -> dict[str, float]:
    (action,) = rule["Actions"]
    groups = (action.get("ForwardConfig") or {}).get("TargetGroups")
    if not groups:
        return {str(action["TargetGroupArn"]): 1.0}
    weights = {str(item["TargetGroupArn"]): int(item.get("Weight", 1)) for item in groups}
    whole = sum(weights.values()) or 1
    return {arn: weight / whole for arn, weight in weights.items() if weight}


def _forward(ref: ByAlias, groups: Mapping[str, str], shares: Mapping[str, float]) -> dict[str, Any]:
    unknown = [name for name in shares if name not in groups]
    if unknown:
        raise UnprovisionedError(
            f"the load balancer of `{ref.model}` leads no gRPC call to the endpoint `{unknown[0]}`",
            hint=f"Deploy its stack again: `cdk deploy --all`, then `yard status {ref.model}`.",
        )
    weighted = [
        {"TargetGroupArn": groups[name], "Weight": max(1, round(share * _WHOLE))}
        for name, share in shares.items()
    ]
    return {"Type": "forward", "ForwardConfig": {"TargetGroups": weighted}}
