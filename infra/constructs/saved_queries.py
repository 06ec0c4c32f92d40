"""Questions that are asked of a model's log again and again, kept in Logs Insights."""

from __future__ import annotations

from aws_cdk import aws_logs as logs
from constructs import Construct

from model_store.contract.environment import (
    COLD_STARTS_METRIC,
    FAULTS_METRIC,
    LATENCY_METRIC,
    MODEL_LATENCY_METRIC,
    PAYLOAD_BYTES_METRIC,
    ROWS_METRIC,
)

QUERIES = {
    "errors by version": f"filter {FAULTS_METRIC} = 1"
    " | stats count(*) as errors by version, alias, status, route"
    " | sort errors desc",
    "slowest requests": f"fields @timestamp, version, alias, {LATENCY_METRIC}, {MODEL_LATENCY_METRIC}, "
    f"{ROWS_METRIC}, {PAYLOAD_BYTES_METRIC}, cold, request_id"
    f" | filter ispresent({LATENCY_METRIC})"
    f" | sort {LATENCY_METRIC} desc"
    " | limit 50",
    "cold starts": f"filter {COLD_STARTS_METRIC} = 1"
    " | stats count(*) as starts, avg(ms) as average_ms, max(ms) as longest_ms by version, bin(1h)"
    " | sort starts desc",
}
"""By name. They read the members of a request's log line (``functions.inference.request_log``)."""


class SavedQueries(Construct):
    """A definition for each of ``QUERIES``, on one log group."""

    def __init__(self, scope: Construct, id_: str, *, prefix: str, log: logs.ILogGroup) -> None:
        super().__init__(scope, id_)
        for name, query in QUERIES.items():
            logs.CfnQueryDefinition(
                self,
                name.title().replace(" ", ""),
                name=f"{prefix}{name}",
                query_string=query,
                log_group_names=[log.log_group_name],
            )
