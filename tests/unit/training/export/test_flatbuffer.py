"""The LiteRT file: the same bytes each time, weights where the schema wants them, rows as the caller sends."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from training.export.flatbuffer import Graph, Interpreted

WEIGHTS = np.arange(6, dtype=np.float32).reshape(2, 3) + np.float32(0.5)


def layer() -> tuple[Graph, bytes]:
    graph = Graph()
    taken = graph.rows("x", (3,))
    odd = graph.constant("odd", np.array([7], np.int32))
    assert odd == 1
    options = (schema.BuiltinOptions.FullyConnectedOptions, schema.FullyConnectedOptionsT())
    inputs = (taken, graph.constant("weights", WEIGHTS), -1)
    given = graph.operator(schema.BuiltinOperator.FULLY_CONNECTED, inputs, graph.rows("y", (2,)), options)
    again = graph.operator(schema.BuiltinOperator.RELU, (given,), graph.rows("z", (2,)))
    return graph, graph.written(("x", taken), {"y": given, "z": again})


@pytest.mark.parametrize("delegated", [False, True], ids=["own-kernels", "xnnpack"])
def test_a_caller_sends_as_many_rows_as_it_likes_and_finds_outputs_by_name(delegated: bool) -> None:
    run = Interpreted(layer()[1], delegated=delegated)
    assert run.input == "x"
    assert set(run.outputs) == {"y", "z"}
    for rows in (1, 5, 2):
        inputs = np.linspace(-2, 2, rows * 3, dtype=np.float32).reshape(rows, 3)
        given = run(inputs)
        np.testing.assert_allclose(given["y"], inputs @ WEIGHTS.T, atol=1e-6)
        np.testing.assert_array_equal(given["z"], np.maximum(given["y"], 0))


def test_equal_graphs_are_equal_bytes_with_weights_on_their_boundary() -> None:
    graph, data = layer()
    assert layer()[1] == data
    assert data[4:8] == b"TFL3"
    assert data.count(WEIGHTS.tobytes()) == 1
    assert data.index(WEIGHTS.tobytes()) % 16 == 0
    assert graph.counted() == {"FULLY_CONNECTED": 1, "RELU": 1}
