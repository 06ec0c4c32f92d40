"""``releases.quotas.Quotas`` of an AWS account: Service Quotas, and each service's own count."""

from __future__ import annotations

from functools import cached_property
from itertools import islice
from typing import Any

import boto3

from releases.adapters.translated import CONFIG, translated
from releases.quotas import Executions, Storage, Used

PAGES = 40
"""At most so many calls for each list: 4,000 quotas of a service, alarms or endpoints."""


class AccountQuotas:
    """What this account and region may have, and has. Lists of quotas are read once for each service."""

    def __init__(self) -> None:
        self._read: dict[tuple[str, str], dict[str, float]] = {}

    @cached_property
    def _quotas(self) -> Any:
        return boto3.client("service-quotas", config=CONFIG)

    @cached_property
    def _lambda(self) -> Any:
        return boto3.client("lambda", config=CONFIG)

    @cached_property
    def _cloudwatch(self) -> Any:
        return boto3.client("cloudwatch", config=CONFIG)

    @cached_property
    def _sagemaker(self) -> Any:
        return boto3.client("sagemaker", config=CONFIG)

    def granted(self, service: str, name: str) -> float | None:
        """What was granted to this account, else AWS's default, which is not listed as granted."""
        for operation in ("list_service_quotas", "list_aws_default_service_quotas"):
            found = self._listed(operation, service).get(name.casefold())
            if found is not None:
                return found
        return None

    def _listed(self, operation: str, service: str) -> dict[str, float]:
        if (operation, service) not in self._read:
            with translated(f"the quotas of `{service}`"):
                pages = self._quotas.get_paginator(operation).paginate(
                    ServiceCode=service, PaginationConfig={"PageSize": 100}
                )
                self._read[operation, service] = {
                    str(quota["QuotaName"]).casefold(): float(quota["Value"])
                    for page in islice(pages, PAGES)
                    for quota in page["Quotas"]
                    if "Value" in quota
                }
        return self._read[operation, service]

    def storage(self) -> Storage:
        settings = self._settings()
        return Storage(settings["AccountLimit"]["TotalCodeSize"], settings["AccountUsage"]["TotalCodeSize"])

    def executions(self) -> Executions:
        limit = self._settings()["AccountLimit"]
        every = limit["ConcurrentExecutions"]
        return Executions(every, every - limit["UnreservedConcurrentExecutions"])

    def _settings(self) -> Any:
        with translated("the account's limits of Lambda"):
            return self._lambda.get_account_settings()

    def alarms(self, prefixes: tuple[str, ...]) -> Used:
        """Composite alarms count like others."""
        with translated("the account's alarms"):
            pages = self._cloudwatch.get_paginator("describe_alarms").paginate(
                AlarmTypes=["MetricAlarm", "CompositeAlarm"], PaginationConfig={"PageSize": 100}
            )
            names, whole = _names(pages, {"MetricAlarms": "AlarmName", "CompositeAlarms": "AlarmName"})
        return Used(len(names), sum(name.startswith(prefixes) for name in names), whole)

    def endpoints(self, prefix: str) -> Used:
        with translated("the account's endpoints"):
            pages = self._sagemaker.get_paginator("list_endpoints").paginate(
                PaginationConfig={"PageSize": 100}
            )
            names, whole = _names(pages, {"Endpoints": "EndpointName"})
        return Used(len(names), sum(name.startswith(prefix) for name in names), whole)


def _names(pages: Any, keys: dict[str, str]) -> tuple[list[str], bool]:
    """What the first pages name, and whether those were all."""
    walked = iter(pages)
    found = [
        str(item[name])
        for page in islice(walked, PAGES)
        for key, name in keys.items()
        for item in page.get(key, [])
    ]
    return found, next(walked, None) is None
