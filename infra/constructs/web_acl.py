"""A web application firewall before a REST API: AWS's managed rules, and a limit for each address.

What a model is sent is numbers: rules that look for SQL or scripts in bodies find them there by accident, and
the one that refuses bodies over 8 KB refuses images. So the rules for bodies count and do not block; the
strict parser behind them decides about bodies. Nothing is sampled or logged: AWS WAF keeps headers with their
tokens in what it samples, and pieces of bodies in what it logs.
"""

from __future__ import annotations

from aws_cdk import aws_wafv2 as wafv2
from constructs import Construct

# Source: AWS WAF developer guide, "Baseline rule groups": every rule of the two groups that reads the body.
_COUNTED = {
    "AWSManagedRulesCommonRuleSet": (
        "SizeRestrictions_BODY",
        "EC2MetaDataSSRF_BODY",
        "GenericLFI_BODY",
        "GenericRFI_BODY",
        "CrossSiteScripting_BODY",
    ),
    "AWSManagedRulesKnownBadInputsRuleSet": ("JavaDeserializationRCE_BODY", "Log4JRCE_BODY"),
    "AWSManagedRulesAmazonIpReputationList": (),
}


class WebAcl(Construct):
    """``acl``, which lets everything in that no rule blocks."""

    def __init__(self, scope: Construct, id_: str, *, name: str, rate_per_address: int) -> None:
        super().__init__(scope, id_)
        limit = wafv2.CfnWebACL.RuleProperty(
            name="rate-per-address",
            priority=0,
            action=wafv2.CfnWebACL.RuleActionProperty(block={}),
            statement=wafv2.CfnWebACL.StatementProperty(
                rate_based_statement=wafv2.CfnWebACL.RateBasedStatementProperty(
                    limit=rate_per_address, aggregate_key_type="IP"
                )
            ),
            visibility_config=_seen(f"{name}-rate"),
        )
        managed = [
            wafv2.CfnWebACL.RuleProperty(
                name=group,
                priority=priority,
                override_action=wafv2.CfnWebACL.OverrideActionProperty(none={}),
                statement=wafv2.CfnWebACL.StatementProperty(
                    managed_rule_group_statement=wafv2.CfnWebACL.ManagedRuleGroupStatementProperty(
                        vendor_name="AWS",
                        name=group,
                        rule_action_overrides=[_counting(rule) for rule in counted] or None,
                    )
                ),
                visibility_config=_seen(f"{name}-{group}"),
            )
            for priority, (group, counted) in enumerate(_COUNTED.items(), start=1)
        ]
        self.acl = wafv2.CfnWebACL(
            self,
            "Acl",
            name=name,
            description="Before the REST API of a stage",
            scope="REGIONAL",
            default_action=wafv2.CfnWebACL.DefaultActionProperty(allow={}),
            rules=[limit, *managed],
            visibility_config=_seen(name),
        )


def _counting(rule: str) -> wafv2.CfnWebACL.RuleActionOverrideProperty:
    return wafv2.CfnWebACL.RuleActionOverrideProperty(
        name=rule, action_to_use=wafv2.CfnWebACL.RuleActionProperty(count={})
    )


def _seen(metric: str) -> wafv2.CfnWebACL.VisibilityConfigProperty:
    return wafv2.CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True, metric_name=metric, sampled_requests_enabled=False
    )
