"""The Open Inference Protocol V2 between bytes and arrays: no HTTP, no model, no cloud.

Source: github.com/kserve/open-inference-protocol, ``specification/protocol/inference_rest.md`` and
``open_inference_rest.yaml``.
"""
