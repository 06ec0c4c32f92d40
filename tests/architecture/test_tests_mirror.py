"""Tests stand where their source stands, so that nobody has to search for them."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = (
    *("catalog", "drift", "functions", "infra", "layers", "local_cloud"),
    *("model_store", "releases", "telemetry", "training", "yard"),
)

ELSEWHERE = {
    "dashboards/adapters": "tests/contract/test_board_reader.py",
    "dashboards/ports.py": "tests/contract/test_board_reader.py",
    "dashboards/style.py": "tests/unit/dashboards/test_page.py",
    "functions/authorizer/adapters": "tests/contract/test_documents.py",
    "functions/authorizer/handler.py": "tests/end_to_end/test_front_doors.py",
    "functions/authorizer/ports.py": "tests/contract/test_documents.py",
    "functions/endpoint/connections.py": "tests/contract/test_http_conformance.py",
    "functions/endpoint/errors.py": "tests/unit/functions/endpoint/test_statuses.py",
    "functions/front/adapters": "tests/contract/test_invoker.py",
    "functions/front/ports.py": "tests/contract/test_invoker.py",
    "functions/gateway/adapters/balanced.py": "tests/contract/test_endpoints.py",
    "functions/gateway/adapters/connection.py": "tests/contract/test_endpoints.py",
    "functions/gateway/adapters/memory.py": "tests/contract/test_endpoints.py",
    "functions/gateway/adapters/sagemaker.py": "tests/contract/test_endpoints.py",
    "functions/gateway/ports.py": "tests/contract/test_endpoints.py",
    "functions/inference/adapters": "tests/contract/test_inference_ports.py",
    "functions/inference/ports.py": "tests/contract/test_inference_ports.py",
    "functions/marks/handler.py": "tests/end_to_end/test_shift.py",
    "functions/messenger/adapters": "tests/contract/test_ways_out.py",
    "functions/messenger/handler.py": "tests/end_to_end/test_shift.py",
    "functions/messenger/ports.py": "tests/contract/test_ways_out.py",
    "functions/operations/handler.py": "tests/end_to_end/test_road.py",
    "functions/protocol/errors.py": "tests/unit/functions/protocol/test_requests.py",
    "infra/acknowledged.py": "tests/infrastructure/test_checks.py",
    "infra/checks.py": "tests/infrastructure/test_checks.py",
    "infra/constructs": "tests/infrastructure/stacks",
    "infra/deployment.py": "tests/infrastructure/test_every_template.py",
    "infra/errors.py": "tests/unit/infra/test_preflight.py",
    "infra/stacks": "tests/infrastructure/stacks",
    "local_cloud/errors.py": "tests/unit/local_cloud/test_cloud.py",
    "local_cloud/extension": "tests/end_to_end/local_cloud",
    "model_store/adapters": "tests/contract/test_object_store.py",
    "model_store/baseline.py": "tests/unit/model_store/test_describe.py",
    "model_store/collector.py": "tests/contract/test_collector.py",
    "model_store/contract/errors.py": "tests/unit/yard/test_output.py",
    "model_store/contract/training.py": "tests/infrastructure/stacks/test_pipeline_machine.py",
    "model_store/replica.py": "tests/unit/releases/test_restore.py",
    "releases/adapters/aws_collector.py": "tests/contract/test_function_collector.py",
    "releases/adapters/cloudwatch.py": "tests/contract/test_monitoring.py",
    "releases/adapters/cloudwatch_logs.py": "tests/contract/test_journal.py",
    "releases/adapters/ec2.py": "tests/contract/test_release_endpoints.py",
    "releases/adapters/elb.py": "tests/contract/test_grpc_calls.py",
    "releases/adapters/memory_grpc_calls.py": "tests/contract/test_grpc_calls.py",
    "releases/adapters/memory.py": "tests/contract/test_functions.py",
    "releases/adapters/memory_endpoints.py": "tests/contract/test_release_endpoints.py",
    "releases/adapters/memory_quotas.py": "tests/contract/test_quotas.py",
    "releases/adapters/service_quotas.py": "tests/contract/test_quotas.py",
    "releases/adapters/sagemaker.py": "tests/contract/test_release_endpoints.py",
    "releases/adapters/http_apis.py": "tests/contract/test_fronts.py",
    "releases/adapters/memory_fronts.py": "tests/contract/test_fronts.py",
    "releases/adapters/sagemaker_runtime.py": "tests/contract/test_asked_endpoint.py",
    "releases/adapters/memory_asked.py": "tests/contract/test_asked_endpoint.py",
    "releases/adapters/memory_collector.py": "tests/contract/test_function_collector.py",
    "releases/adapters/memory_executions.py": "tests/contract/test_executions.py",
    "releases/adapters/memory_journal.py": "tests/contract/test_journal.py",
    "releases/adapters/memory_monitoring.py": "tests/contract/test_monitoring.py",
    "releases/adapters/step_functions.py": "tests/contract/test_executions.py",
    "releases/adapters/translated.py": "tests/contract/test_executions.py",
    "releases/collector.py": "tests/contract/test_function_collector.py",
    "releases/errors.py": "tests/unit/releases/test_controller.py",
    "releases/ports.py": "tests/contract/test_functions.py",
    "releases/stage.py": "tests/unit/releases/test_controller.py",
    "training/aws_jobs.py": "tests/unit/training/test_sagemaker.py",
    "training/curves.py": "tests/unit/training/test_make.py",
    "training/errors.py": "tests/unit/training/test_written.py",
    "training/workers.py": "tests/unit/training/test_launch.py",
    "telemetry/adapters/cloudwatch.py": "tests/contract/test_numbers.py",
    "telemetry/adapters/logs.py": "tests/contract/test_lines.py",
    "telemetry/adapters/memory.py": "tests/contract/test_numbers.py",
    "telemetry/ports.py": "tests/contract/test_numbers.py",
    "yard/commands": "tests/end_to_end/test_bad_input.py",
    "yard/options.py": "tests/unit/yard/test_main.py",
}
"""Modules (or folders of them) whose behaviour is held by a suite with another name, and which."""


def modules() -> list[str]:
    found = (path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    return sorted(
        str(path.relative_to(ROOT)) for path in found if path.name not in {"__init__.py", "__main__.py"}
    )


@pytest.mark.parametrize("module", modules())
def test_every_module_has_its_tests_at_the_mirrored_path(module: str) -> None:
    path = Path(module)
    mirrored = ROOT / "tests" / "unit" / path.parent / f"test_{path.name}"
    named = next((ELSEWHERE[str(at)] for at in (path, *path.parents) if str(at) in ELSEWHERE), None)
    assert mirrored.is_file() or (named and (ROOT / named).exists()), f"write {mirrored.relative_to(ROOT)}"


@pytest.mark.parametrize("module", ELSEWHERE)
def test_no_exception_outlives_its_module(module: str) -> None:
    assert (ROOT / module).exists()
    assert (ROOT / ELSEWHERE[module]).exists()
