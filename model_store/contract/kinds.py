"""Kinds of artifacts: what the bytes of a version are, and which target can run them.

The manifest says the kind. ``onnx`` and ``safetensors`` are data. A TorchScript or torch.export archive
is a program in a language of its own, which whoever publishes it has to name (law 12: by explicit
choice). ``torch-pickle`` executes Python when it is loaded; it is published with ``--allow-code`` only,
and only a target that isolates what it runs may ever take it.
"""

from __future__ import annotations

ONNX = "onnx"
SAFETENSORS = "safetensors"
TORCHSCRIPT = "torchscript"
TORCH_EXPORT = "torch-export"
TORCH_PICKLE = "torch-pickle"

KINDS = (ONNX, SAFETENSORS, TORCHSCRIPT, TORCH_EXPORT, TORCH_PICKLE)

RUNS_ON: dict[str, tuple[str, ...]] = {"lambda": (ONNX,), "sagemaker": (ONNX,), "ec2": (ONNX,)}
"""Which kinds a target can run. A target that is not listed runs none."""
