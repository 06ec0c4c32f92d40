"""What runs a model. One module per engine, imported only where it is asked for.

An engine is ``functions.inference.predictor.Engine``. Its laws, checked for every engine in
``tests/contract/test_engines.py``:

* it gives the wanted outputs, in the wanted order, as arrays of the manifest's datatypes;
* it may be called from several threads at once, and each call gets its own answer;
* what the model refuses is ``BadInputError``, and the next call is not touched by it;
* a run that is told to stop ends early with ``BadInputError``;
* no file is read before it is verified (law 2).
"""

from __future__ import annotations

from functions.endpoint.settings import Settings
from functions.inference.artifact import Artifact
from functions.inference.predictor import Engine


def load_engine(artifact: Artifact, settings: Settings) -> Engine:
    """Load the model with the engine that the settings name. Takes as long as it takes."""
    from functions.endpoint.engines.onnx import load

    return load(artifact, threads=settings.threads, device=settings.device)
