"""What a converter cannot write is refused in one sentence, and leaves nothing."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.manifold import Isomap
from sklearn.pipeline import make_pipeline

from training.errors import ExportError
from training.estimators.convert import convert


def test_what_has_no_operators_is_refused_by_name(tmp_path: Path) -> None:
    rows = np.random.default_rng(1).normal(size=(20, 3)).astype(np.float32)
    fitted = make_pipeline(Isomap(n_neighbors=3), GaussianProcessRegressor()).fit(rows, rows[:, 0])
    with pytest.raises(ExportError, match=r"`sklearn.pipeline.Pipeline` cannot be exported: .*Isomap"):
        convert(
            fitted,
            "sklearn.pipeline.Pipeline",
            tmp_path / "model.onnx",
            taken="x",
            width=3,
            classes=0,
            opset=18,
        )
    assert not list(tmp_path.iterdir())
