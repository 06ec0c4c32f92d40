"""Kinds of artifacts: what the bytes of a version are, and which target can run them.

The manifest says the kind. ``onnx`` and ``safetensors`` are data. A TorchScript or torch.export archive
is a program in a language of its own, which whoever publishes it has to name (law 12: by explicit
choice). ``torch-pickle`` executes Python when it is loaded and ``torch-aot`` holds machine code for one kind
of processor (an AOTInductor package); both are published with ``--allow-code`` only. No target takes the
first; the second runs in the endpoint's container, which holds one model and no secrets.
"""

from __future__ import annotations

ONNX = "onnx"
SAFETENSORS = "safetensors"
TORCHSCRIPT = "torchscript"
TORCH_EXPORT = "torch-export"
TORCH_AOT = "torch-aot"
TORCH_PICKLE = "torch-pickle"

KINDS = (ONNX, SAFETENSORS, TORCHSCRIPT, TORCH_EXPORT, TORCH_AOT, TORCH_PICKLE)

_ENDPOINT = (ONNX, SAFETENSORS, TORCHSCRIPT, TORCH_EXPORT, TORCH_AOT)

RUNS_ON: dict[str, tuple[str, ...]] = {"lambda": (ONNX,), "sagemaker": _ENDPOINT, "ec2": _ENDPOINT}
"""Which kinds a target can run. A target that is not listed runs none."""
