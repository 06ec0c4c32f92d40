"""Elastic Load Balancing: weights, gRPC target groups, health that is looked at, and an address that answers.

Stock: of an action that forwards to several target groups the first is kept; ``ProtocolVersion`` and gRPC's
codes are dropped; every target is healthy; ``DNSName`` resolves to nothing; a target group that a rule leads
to can be deleted; two rules may have one place. AWS: Elastic Load Balancing API reference (2015-12-01),
``Action``, ``TargetGroup``, ``CreateRule`` (``PriorityInUse``), ``DeleteTargetGroup`` (``ResourceInUse``),
``DescribeTargetHealth``. A permission on a rule is compared with the rule, and one to make a rule with its
listener (Service Authorization Reference, "Elastic Load Balancing V2"); stock compares both with ``*``. That
counts only where policies are enforced (the strict profile).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from ministack.core import iam_actions
from ministack.services import alb
from ministack.services.cloudformation import provisioners

from local_cloud.extension import fronts, routing

Params = dict[str, Any]
Made = tuple[str, dict[str, Any]]

_REASONS = {
    "initial": ("Elb.InitialHealthChecking", "Initial health checks in progress"),
    "unhealthy": ("Target.FailedHealthChecks", "Health checks failed"),
    "unused": ("Target.NotInUse", "Target group is not configured to receive traffic from the load balancer"),
}

_stock_parse_actions = alb._parse_actions
_stock_action_xml = alb._action_xml
_stock_tg_xml = alb._tg_xml
_stock_create_tg = alb._create_tg
_stock_delete_tg = alb._delete_tg
_stock_create_rule = alb._create_rule
_stock_create_lb = alb._create_lb
_stock_delete_lb = alb._delete_lb
_stock_reset = alb.reset
_stock_listener_actions = provisioners._elbv2_listener_actions

_ON_A_RULE = {"CreateRule": "ListenerArn", "DeleteRule": "RuleArn", "ModifyRule": "RuleArn"}

_handlers = provisioners._RESOURCE_HANDLERS
_LOAD_BALANCER = "AWS::ElasticLoadBalancingV2::LoadBalancer"
_TARGET_GROUP = "AWS::ElasticLoadBalancingV2::TargetGroup"
_stock_lb = dict(_handlers[_LOAD_BALANCER])
_stock_tg = dict(_handlers[_TARGET_GROUP])


# ---------------------------------------------------------------- the API


def _parse_actions(params: Params, prefix: str = "DefaultActions") -> list[dict[str, Any]]:
    actions: list[dict[str, Any]] = _stock_parse_actions(params, prefix)
    for number, action in enumerate(actions, start=1):
        groups: list[dict[str, Any]] = []
        base = f"{prefix}.member.{number}.ForwardConfig.TargetGroups.member"
        while arn := alb._p(params, f"{base}.{len(groups) + 1}.TargetGroupArn"):
            weight = alb._p(params, f"{base}.{len(groups) + 1}.Weight")
            groups.append({"TargetGroupArn": arn, "Weight": int(weight or 1)})
        if groups:
            action["ForwardConfig"] = {"TargetGroups": groups}
    return actions


def _listener_actions(props: dict[str, Any], lb_arn: Any, prop: str = "DefaultActions") -> Any:
    actions = _stock_listener_actions(props, lb_arn, prop)
    for action, declared in zip(actions, props.get(prop) or [], strict=True):
        config = declared.get("ForwardConfig")
        if config:
            action["ForwardConfig"] = copy.deepcopy(config)
    return actions


def _action_xml(action: dict[str, Any]) -> str:
    shares = routing.shares_of(action)
    if action["Type"] != "forward" or not shares:
        return str(_stock_action_xml(action))
    single = {key: value for key, value in action.items() if key != "TargetGroupArn"}
    if len(shares) == 1:
        (single["TargetGroupArn"],) = shares
    groups = "".join(
        f"<member><TargetGroupArn>{escape(arn)}</TargetGroupArn><Weight>{weight}</Weight></member>"
        for arn, weight in shares.items()
    )
    forward = f"<ForwardConfig><TargetGroups>{groups}</TargetGroups></ForwardConfig>"
    return str(_stock_action_xml(single)).removesuffix("</member>") + f"{forward}</member>"


def _tg_xml(group: dict[str, Any]) -> str:
    used = routing.groups_used(group["TargetGroupArn"])
    known = {**group, "LoadBalancerArns": sorted(used.get(group["TargetGroupArn"], ()))}
    written = str(_stock_tg_xml(known))
    version = group.get("ProtocolVersion") or "HTTP1"
    if version == "GRPC":
        code = escape(str(group["Matcher"].get("GrpcCode", "12")))
        before, _, rest = written.partition("<Matcher>")
        written = f"{before}<Matcher><GrpcCode>{code}</GrpcCode></Matcher>{rest.partition('</Matcher>')[2]}"
    return written.removesuffix("</member>") + f"<ProtocolVersion>{version}</ProtocolVersion></member>"


def _create_tg(params: Params) -> Any:
    before = set(alb._tgs)
    answer = _stock_create_tg(params)
    for arn in set(alb._tgs) - before:
        version = alb._p(params, "ProtocolVersion")
        _note_version(arn, version, {"GrpcCode": alb._p(params, "Matcher.GrpcCode")} if version else {})
    return answer


def _note_version(arn: str, version: str | None, matcher: dict[str, Any]) -> None:
    if version:
        alb._tgs[arn]["ProtocolVersion"] = version
    if matcher.get("GrpcCode"):
        alb._tgs[arn]["Matcher"] = {"HttpCode": "200", "GrpcCode": str(matcher["GrpcCode"])}


def _delete_tg(params: Params) -> Any:
    arn = alb._p(params, "TargetGroupArn")
    if routing.groups_used(arn):
        return alb._error("ResourceInUse", _in_use(arn))
    return _stock_delete_tg(params)


def _in_use(arn: str) -> str:
    return f"Target group '{arn}' is currently in use by a listener or a rule"


def _create_rule(params: Params) -> Any:
    listener, wanted = alb._p(params, "ListenerArn"), alb._p(params, "Priority")
    taken = {rule["Priority"] for rule in alb._rules.values() if rule["ListenerArn"] == listener}
    if wanted in taken:
        return alb._error("PriorityInUse", f"Priority '{wanted}' is currently in use")
    return _stock_create_rule(params)


def _describe_health(params: Params) -> Any:
    arn = alb._p(params, "TargetGroupArn")
    if arn not in alb._tgs:
        return alb._error("TargetGroupNotFound", f"Target group '{arn}' not found.")
    told = ""
    for target in alb._targets.get(arn) or []:
        state = routing.health_of(arn, target["Id"])
        code, why = _REASONS.get(state, ("", ""))
        reason = f"<Reason>{code}</Reason><Description>{why}</Description>" if code else ""
        told += (
            f"<member><Target><Id>{target['Id']}</Id><Port>{target.get('Port', alb._tgs[arn]['Port'])}</Port>"
            f"</Target><TargetHealth><State>{state}</State>{reason}</TargetHealth></member>"
        )
    return alb._xml(
        200, "DescribeTargetHealth", f"<TargetHealthDescriptions>{told}</TargetHealthDescriptions>"
    )


def _create_lb(params: Params) -> Any:
    before = set(alb._lbs)
    stock = _stock_create_lb(params)
    for arn in set(alb._lbs) - before:
        _opened(arn)
        return alb._xml(
            200, "CreateLoadBalancer", f"<LoadBalancers>{alb._lb_xml(alb._lbs[arn])}</LoadBalancers>"
        )
    return stock


def _delete_lb(params: Params) -> Any:
    fronts.close_front(alb._p(params, "LoadBalancerArn"))
    return _stock_delete_lb(params)


def _opened(arn: str) -> str:
    alb._lbs[arn]["DNSName"] = f"127.0.0.1:{fronts.open_front(arn)}"
    return str(alb._lbs[arn]["DNSName"])


# ---------------------------------------------------------------- resource types


def _lb_created(logical_id: str, props: dict[str, Any], stack: str) -> Made:
    arn, attributes = _stock_lb["create"](logical_id, props, stack)
    return arn, {**attributes, "DNSName": _opened(arn)}


def _lb_deleted(physical_id: str, props: dict[str, Any]) -> None:
    fronts.close_front(physical_id)
    _stock_lb["delete"](physical_id, props)


def _tg_created(logical_id: str, props: dict[str, Any], stack: str) -> Made:
    arn, attributes = _stock_tg["create"](logical_id, props, stack)
    _note_version(arn, props.get("ProtocolVersion"), props.get("Matcher") or {})
    return arn, attributes


def _tg_updated(
    physical_id: str, old: dict[str, Any], new: dict[str, Any], stack: str, logical_id: str = ""
) -> Made:
    arn, attributes = _stock_tg["update"](physical_id, old, new, stack, logical_id)
    _note_version(arn, new.get("ProtocolVersion"), new.get("Matcher") or {})
    return arn, attributes


def _tg_deleted(physical_id: str, props: dict[str, Any]) -> None:
    if routing.groups_used(physical_id):
        raise ValueError(_in_use(physical_id))
    _stock_tg["delete"](physical_id, props)


def _reset() -> None:
    fronts.reset()
    _stock_reset()


def _resource_of(stock: Callable[..., Any]) -> Callable[..., Any]:
    def resource(
        service: str, method: str, path: str, headers: Any, body: bytes, query: Any, *more: Any
    ) -> Any:
        if service == "elasticloadbalancing":
            asked = {**(query or {}), **parse_qs((body or b"").decode(errors="replace"))}
            named = _ON_A_RULE.get(alb._p(asked, "Action"))
            if named:
                return alb._p(asked, named)
        return stock(service, method, path, headers, body, query, *more)

    return resource


def install() -> None:
    """Patch the API and the resource types."""
    iam_actions.extract_resource_arn = _resource_of(iam_actions.extract_resource_arn)
    for name, patch in (
        ("_parse_actions", _parse_actions),
        ("_action_xml", _action_xml),
        ("_tg_xml", _tg_xml),
        ("reset", _reset),
    ):
        setattr(alb, name, patch)
    actions: dict[str, Callable[[Params], Any]] = {
        "CreateTargetGroup": _create_tg,
        "DeleteTargetGroup": _delete_tg,
        "CreateRule": _create_rule,
        "DescribeTargetHealth": _describe_health,
        "CreateLoadBalancer": _create_lb,
        "DeleteLoadBalancer": _delete_lb,
    }
    alb._ACTION_MAP.update(actions)
    provisioners._elbv2_listener_actions = _listener_actions
    _handlers[_LOAD_BALANCER] = {**_stock_lb, "create": _lb_created, "delete": _lb_deleted}
    _handlers[_TARGET_GROUP] = {
        **_stock_tg,
        "create": _tg_created,
        "update": _tg_updated,
        "delete": _tg_deleted,
    }
