"""``benchmarks.compute_bound``: what it concludes, and that its own server and its floor answer."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from benchmarks import compute_bound, peers
from benchmarks.compute_bound import BARE
from benchmarks.endpoint import OURS, answers
from benchmarks.models import Subject, perceptron


def test_the_best_product_is_the_one_that_answers_most_and_rounds_are_compared_with_their_own() -> None:
    samples = {
        BARE: [10.0, 5.0, 10.0],
        OURS: [9.0, 5.0, 10.0],
        "Triton": [9.0, 4.0, 8.0],
        "KServe": [3.0, 3.0, 3.0],
    }
    floor, best = compute_bound.bars("encoder", samples)
    assert floor == "| encoder, against `session.run` with the same thread | ≥ 0.95 | 1.00 | yes |"
    assert best == "| encoder, against the best product (Triton) | ≥ 1 | 1.25 | yes |"


def test_without_products_there_is_only_the_floor() -> None:
    (line,) = compute_bound.bars("encoder", {BARE: [10.0], OURS: [9.0]})
    assert line.endswith("| 0.90 | **no** |")


def test_a_body_says_the_same_as_json_and_as_binary_tensors(tmp_path: Path) -> None:
    subject = perceptron()
    scripts = compute_bound.write_bodies(subject, tmp_path)
    body = json.loads((tmp_path / "body-False").read_bytes())
    assert np.allclose(np.array(body["inputs"][0]["data"], np.float32), subject.input.reshape(-1))
    assert (tmp_path / "body-True").read_bytes().endswith(subject.input.tobytes())
    assert "Inference-Header-Content-Length" in scripts[True].read_text()


def test_the_floor_and_the_endpoint_run_the_same_graph(tmp_path: Path) -> None:
    subject: Subject = perceptron()
    named = compute_bound.lay_out(subject, tmp_path / "model")
    compute_bound.write_bodies(subject, tmp_path)
    graph = str(tmp_path / "model" / "files" / "model.onnx")
    with ExitStack() as stack:
        assert compute_bound._bare(subject, tmp_path, graph, stack).per_second(0.05) > 0
        server = compute_bound._endpoint(subject, tmp_path, named, stack)
        body = (tmp_path / "body-False").read_bytes()
        assert answers(server.url, body, server.process)


def test_the_products_are_told_what_the_graph_takes(tmp_path: Path) -> None:
    served = peers.Served("encoder", "model.onnx", (128,), (384,), "INT64")
    peer = next(peer for peer in peers.PEERS if peer.name == "LitServe")
    peer.write(tmp_path, tmp_path, served, 1)
    assert "datatype = np.int64" in (tmp_path / "serve.py").read_text()
    assert peers.PEERS[0].url(served, 80) == "http://127.0.0.1:80/v2/models/encoder/infer"
