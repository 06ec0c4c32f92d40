"""CloudWatch Logs Insights and filter patterns that mean what they say, and queries that are kept.

Stock: of Insights only ``fields``, ``sort @timestamp``, ``limit`` and four forms of ``filter`` on the fields
with an at sign are done, and what is not understood filters nothing; patterns on JSON let every line through;
query definitions are unknown to the API and to CloudFormation.
AWS: CloudWatch Logs user guide, "CloudWatch Logs Insights language query syntax": ``fields``, ``filter``,
``stats`` (``count``, ``count_distinct``, ``sum``, ``avg``, ``min``, ``max``, ``pct``, by fields and ``bin``),
``sort``, ``limit``; a query that it does not understand is refused with ``MalformedQueryException``. API
reference of ``PutQueryDefinition``; template reference of ``AWS::Logs::QueryDefinition`` (``Ref`` is its id).
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from ministack.core.responses import error_response_json, get_account_id, json_response
from ministack.services import cloudwatch_logs
from ministack.services.cloudformation import provisioners

from local_cloud.extension.log_language import discovered, insights_condition, json_pattern

Row = dict[str, Any]
Stage = Callable[[list[Row]], list[Row]]

MOST = 10_000
_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_CALL = re.compile(r"(?P<function>\w+)\((?P<inside>[^()]*)\)")

_stock_compile_filter_pattern = cloudwatch_logs._compile_filter_pattern
_stock_handle_request = cloudwatch_logs.handle_request
_stock_start_query = cloudwatch_logs._start_query

_definitions: dict[tuple[str, str], dict[str, Any]] = {}
"""By account and id."""


class MalformedQueryError(Exception):
    """Insights would not take the query."""


def run(query: str, records: list[Row]) -> list[list[dict[str, str]]]:
    """The result rows of ``query`` over ``records``, as GetQueryResults writes them."""
    shown: list[str] | None = None
    rows = [{**discovered(str(record["@message"])), **record} for record in records]
    for text in cloudwatch_logs._split_insights_pipes(query):
        word, _, rest = text.strip().partition(" ")
        try:
            if word == "fields":
                shown = [*(shown or []), *_split(rest)]
            elif word == "stats":
                shown, stage = _stats(rest)
                rows = stage(rows)
            else:
                rows = _STAGES[word](rest.strip())(rows)
        except (KeyError, ValueError) as error:
            raise MalformedQueryError(f"unexpected: {text} ({error})") from error
    columns = shown if shown is not None else ["@timestamp", "@message"]
    if rows and "@ptr" in rows[0] and "@ptr" not in columns:
        columns = [*columns, "@ptr"]
    return [
        [{"field": name, "value": _written(row[name])} for name in columns if row.get(name) is not None]
        for row in rows[:MOST]
    ]


def _filter(text: str) -> Stage:
    condition = insights_condition(text)
    return lambda rows: [row for row in rows if condition(row)]


def _sort(text: str) -> Stage:
    field, _, direction = text.partition(" ")

    def stage(rows: list[Row]) -> list[Row]:
        known = [row for row in rows if row.get(field) is not None]
        known.sort(key=lambda row: _ordered(row[field]), reverse=direction.strip() == "desc")
        return known + [row for row in rows if row.get(field) is None]

    return stage


def _limit(text: str) -> Stage:
    count = min(int(text), MOST)
    return lambda rows: rows[:count]


_STAGES: dict[str, Callable[[str], Stage]] = {"filter": _filter, "sort": _sort, "limit": _limit}


def _stats(text: str) -> tuple[list[str], Stage]:
    """Which columns a ``stats`` makes, and what makes them."""
    wanted, _, by = re.sub(r"\s+by\s+", "\0", text, count=1).partition("\0")
    sums = [_sum_up(part) for part in _split(wanted)]
    groups = _split(by)

    def stage(rows: list[Row]) -> list[Row]:
        found: dict[tuple[Any, ...], list[Row]] = {}
        for row in rows:
            found.setdefault(tuple(_group(row, name) for name in groups), []).append(row)
        if not groups:
            found.setdefault((), [])
        return [
            {**dict(zip(groups, key, strict=True)), **{name: make(group) for name, make in sums}}
            for key, group in found.items()
        ]

    return [*groups, *(name for name, _ in sums)], stage


def _sum_up(text: str) -> tuple[str, Callable[[list[Row]], Any]]:
    call, _, name = re.sub(r"\s+as\s+", "\0", text.strip(), count=1).partition("\0")
    found = _CALL.fullmatch(call.strip())
    if found is None:
        raise ValueError(f"`{text}` sums nothing up")
    field, *more = _split(found["inside"])
    make = _SUMS[found["function"]]

    def summed(rows: list[Row]) -> Any:
        values = [row[field] for row in rows if row.get(field) is not None]
        return make(rows if field == "*" else values, *more)

    return name or call.strip(), summed


def _percentile(values: Sequence[Any], percent: str) -> float | None:
    ordered = sorted(map(float, values))
    return ordered[min(int(len(ordered) * float(percent) / 100), len(ordered) - 1)] if ordered else None


_SUMS: dict[str, Callable[..., Any]] = {
    "count": len,
    "count_distinct": lambda values: len(set(values)),
    "sum": lambda values: sum(map(float, values)),
    "avg": lambda values: sum(map(float, values)) / len(values) if values else None,
    "min": lambda values: min(map(float, values), default=None),
    "max": lambda values: max(map(float, values), default=None),
    "pct": _percentile,
}


def _group(row: Row, name: str) -> Any:
    found = _CALL.fullmatch(name)
    if found is None:
        return row.get(name)
    if found["function"] != "bin":
        raise ValueError(f"`{name}` groups nothing")
    seconds = int(found["inside"][:-1]) * _UNITS_S[found["inside"][-1]]
    at = int(row["_timestamp_ms"]) // 1000 // seconds * seconds
    return cloudwatch_logs._format_insights_timestamp(at * 1000)


def _split(text: str) -> list[str]:
    """Parts between commas, those within parentheses left alone."""
    return [part.strip() for part in re.split(r",(?![^()]*\))", text) if part.strip()]


def _ordered(value: Any) -> tuple[int, float, str]:
    try:
        return 0, float(value), ""
    except (TypeError, ValueError):
        return 1, 0.0, str(value)


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _start_query(data: dict[str, Any]) -> Any:
    names = cloudwatch_logs._resolve_query_log_groups(data)
    query = str(data.get("queryString", ""))
    groups = cloudwatch_logs._log_groups
    if not names or any(name not in groups for name in names):
        return _stock_start_query(data)  # it says what is missing
    records = cloudwatch_logs._collect_query_records(names, data["startTime"], data["endTime"])
    try:
        results = run(query, records)
    except MalformedQueryError as error:
        return error_response_json("MalformedQueryException", str(error), 400)
    limit = min(int(data.get("limit") or MOST), MOST)
    query_id = str(uuid.uuid4())
    cloudwatch_logs._queries[query_id] = {
        "queryId": query_id,
        "logGroupNames": names,
        "startTime": data["startTime"],
        "endTime": data["endTime"],
        "queryString": query,
        "status": "Complete",
        "results": results[:limit],
        "statistics": {"recordsMatched": float(len(results)), "recordsScanned": float(len(records))},
    }
    return json_response({"queryId": query_id})


def _compile_filter_pattern(raw: str) -> Callable[[str], bool]:
    if not (raw or "").strip().startswith("{"):
        return _stock_compile_filter_pattern(raw)  # type: ignore[no-any-return]
    condition = json_pattern(raw)
    return lambda message: message.lstrip()[:1] == "{" and condition(discovered(message))


def _put_definition(asked: dict[str, Any]) -> str:
    known = asked.get("queryDefinitionId")
    id_ = str(known or uuid.uuid4())
    _definitions[get_account_id(), id_] = {
        "queryDefinitionId": id_,
        "name": asked["name"],
        "queryString": asked["queryString"],
        "logGroupNames": list(asked.get("logGroupNames") or []),
    }
    return id_


def _describe_definitions(asked: dict[str, Any]) -> dict[str, Any]:
    prefix = asked.get("queryDefinitionNamePrefix") or ""
    found = [
        definition
        for (account, _), definition in _definitions.items()
        if account == get_account_id() and definition["name"].startswith(prefix)
    ]
    return {"queryDefinitions": sorted(found, key=lambda definition: definition["name"])}


async def _handle_request(
    method: str, path: str, headers: dict[str, str], body: bytes, query_params: dict[str, Any]
) -> Any:
    action = headers.get("x-amz-target", "").rpartition(".")[2]
    if not action.endswith(("QueryDefinition", "QueryDefinitions")):
        return await _stock_handle_request(method, path, headers, body, query_params)
    asked = json.loads(body or b"{}")
    if action == "PutQueryDefinition":
        return json_response({"queryDefinitionId": _put_definition(asked)})
    if action == "DescribeQueryDefinitions":
        return json_response(_describe_definitions(asked))
    gone = _definitions.pop((get_account_id(), asked["queryDefinitionId"]), None)
    return json_response({"success": gone is not None})


def _create_definition(logical_id: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
    del logical_id, stack
    return _defined(properties, None)


def _update_definition(
    physical: str, old: dict[str, Any], new: dict[str, Any], stack: str, logical_id: str = ""
) -> tuple[str, dict[str, Any]]:
    del old, stack, logical_id
    return _defined(new, physical)


def _delete_definition(physical: str, properties: dict[str, Any]) -> None:
    del properties
    _definitions.pop((get_account_id(), physical), None)


def _defined(properties: dict[str, Any], id_: str | None) -> tuple[str, dict[str, Any]]:
    id_ = _put_definition(
        {
            "queryDefinitionId": id_,
            "name": properties["Name"],
            "queryString": properties["QueryString"],
            "logGroupNames": properties.get("LogGroupNames"),
        }
    )
    return id_, {"QueryDefinitionId": id_}


def install() -> None:
    """Answer Insights queries, mean JSON patterns, keep query definitions."""
    cloudwatch_logs._start_query = _start_query
    cloudwatch_logs._compile_filter_pattern = _compile_filter_pattern
    cloudwatch_logs.handle_request = _handle_request
    provisioners._RESOURCE_HANDLERS["AWS::Logs::QueryDefinition"] = {
        "create": _create_definition,
        "update": _update_definition,
        "update_with_logical_id": True,
        "delete": _delete_definition,
    }
