"""``local_cloud.extension.metric_search``: which metrics a SEARCH finds."""

from __future__ import annotations

import pytest

from local_cloud.extension.metric_math import MathError
from local_cloud.extension.metric_search import Found, searching

LATENCY_3 = Found("Switchyard/prod", "Latency", {"model": "digits", "version": "3"})


@pytest.mark.parametrize(
    ("expression", "finds"),
    [
        pytest.param("{Switchyard/prod,model,version}", True, id="schema"),
        pytest.param("{Switchyard/prod,version,model} Latency", True, id="any-order"),
        pytest.param("{Switchyard/prod,model}", False, id="fewer-dimensions"),
        pytest.param("{Switchyard/other,model,version}", False, id="other-namespace"),
        pytest.param('{Switchyard/prod,model,version} MetricName="Latency"', True, id="exactly"),
        pytest.param('{Switchyard/prod,model,version} MetricName="Lat"', False, id="not-a-part"),
        pytest.param(
            '{Switchyard/prod,model,version} MetricName="Latency" model="digits"', True, id="side-by-side"
        ),
        pytest.param('{Switchyard/prod,model,version} model="digit"', False, id="whole-values"),
        pytest.param("{Switchyard/prod,model,version} latency 3", True, id="words-in-any-case"),
        pytest.param('{Switchyard/prod,model,version} version=("3" OR "4")', False, id="no-such-form"),
        pytest.param('{Switchyard/prod,model,version} (version="4" OR version="3")', True, id="or"),
        pytest.param('{Switchyard/prod,model,version} Latency NOT version="3"', False, id="not"),
    ],
)
def test_a_search_finds_what_its_terms_say(expression: str, *, finds: bool) -> None:
    try:
        found = searching(expression)(LATENCY_3)
    except MathError:
        found = False
    assert found is finds


@pytest.mark.parametrize("expression", ["Latency", "{N,a} (x", "{N,a} NOT", "{N,a} )"])
def test_what_is_no_search_is_refused(expression: str) -> None:
    with pytest.raises(MathError):
        searching(expression)
