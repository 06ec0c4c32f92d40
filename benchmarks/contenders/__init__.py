"""The ways to serve an ONNX model from a function that are measured against each other.

Each module has ``start(model_path, model, dtype) -> (handler, session)``; it is imported in a process that
has the runtime layer and nothing else. ``tutorial`` and ``raw_body`` are as their authors write them.
"""
