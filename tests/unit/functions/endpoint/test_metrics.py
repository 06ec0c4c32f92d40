"""``functions.endpoint.metrics``: what Prometheus reads."""

from __future__ import annotations

from functions.endpoint.metrics import Metrics
from functions.endpoint.statuses import OUTCOMES


def test_every_outcome_is_there_from_the_start() -> None:
    page = Metrics("digits", "3").page().decode()
    for outcome in OUTCOMES:
        line = f'switchyard_requests_total{{model="digits",outcome="{outcome}",version="3"}} 0.0'
        assert line in page


def test_requests_runs_and_waits_are_counted() -> None:
    metrics = Metrics("digits", "3")
    metrics.finished("ok", 0.02)
    metrics.batch(5, [0.001, 0.2])
    metrics.watch_queue(lambda: 7, lambda: 2)
    metrics.watch_open(lambda: 9)
    page = metrics.page().decode()
    labels = '{model="digits",version="3"}'
    assert 'outcome="ok",version="3"} 1.0' in page
    assert f"switchyard_batch_rows_sum{labels} 5.0" in page
    assert f"switchyard_queue_seconds_count{labels} 2.0" in page
    assert f"switchyard_queue_depth{labels} 7.0" in page
    assert f"switchyard_running{labels} 2.0" in page
    assert f"switchyard_in_flight{labels} 9.0" in page


def test_two_servers_in_one_process_do_not_share_numbers() -> None:
    one, other = Metrics("a", "1"), Metrics("b", "1")
    one.finished("ok", 0.1)
    assert 'model="a"' not in other.page().decode()
