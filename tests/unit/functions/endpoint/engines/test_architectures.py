"""``functions.endpoint.engines.architectures``: what is computed for a name, against torch's own modules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.functions.endpoint.engines.test_torch import safetensors

CONFIG = {
    "architectures": ["BertModel"],
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "max_position_embeddings": 12,
    "hidden_act": "gelu",
}
LAYERS = {
    "attention.output.dense": "self_attn.out_proj",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "linear1",
    "output.dense": "linear2",
    "output.LayerNorm": "norm2",
}


def bert(folder: Path) -> Any:
    """A small BertModel with weights of its own, loaded from files as a server loads it."""
    import torch

    from functions.endpoint.engines.architectures import BertModel, declared

    torch.manual_seed(3)
    model = BertModel(CONFIG)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    weights["embeddings.position_ids"] = np.zeros((1, 12), np.float32)
    names = sorted(weights)
    half = len(names) // 2
    for file, some in (("a.safetensors", names[:half]), ("b.safetensors", names[half:])):
        (folder / file).write_bytes(safetensors({name: weights[name] for name in some}))
    placed = {name: "a.safetensors" if at < half else "b.safetensors" for at, name in enumerate(names)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": placed}))
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return declared(folder, "model.safetensors.index.json")


def reference(model: Any) -> Any:
    """torch's own encoder with the same weights."""
    import torch

    layer = torch.nn.TransformerEncoderLayer(
        16, 4, 32, dropout=0.0, activation="gelu", batch_first=True, layer_norm_eps=1e-12
    )
    encoder = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    ours = model.state_dict()
    theirs = {}
    for number in range(2):
        mine, yours = f"encoder.layer.{number}.", f"layers.{number}."
        for end in ("weight", "bias"):
            parts = [ours[f"{mine}attention.self.{name}.{end}"] for name in ("query", "key", "value")]
            theirs[f"{yours}self_attn.in_proj_{end}"] = torch.cat(parts)
            for name, other in LAYERS.items():
                theirs[f"{yours}{other}.{end}"] = ours[f"{mine}{name}.{end}"]
    encoder.load_state_dict(theirs)
    return encoder.eval()


@pytest.mark.train
def test_bert_computes_what_torch_s_own_encoder_computes(tmp_path: Path) -> None:
    import torch

    model = bert(tmp_path)
    ids = torch.tensor([[1, 2, 3, 4, 5], [6, 7, 0, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    with torch.no_grad():
        found = model(ids, mask)
        start = model.embeddings(ids, torch.zeros_like(ids))
        expected = reference(model)(start, src_key_padding_mask=mask == 0)
    kept = mask.bool()
    torch.testing.assert_close(found["last_hidden_state"][kept], expected[kept], rtol=1e-4, atol=1e-4)
    mean = torch.stack([expected[0].mean(0), expected[1][:2].mean(0)])
    sentence = torch.nn.functional.normalize(mean, dim=1)
    torch.testing.assert_close(found["sentence_embedding"], sentence, rtol=1e-4, atol=1e-4)
    assert found["pooler_output"].shape == (2, 16)


@pytest.mark.train
def test_rows_do_not_hear_of_each_other(tmp_path: Path) -> None:
    import torch

    model = bert(tmp_path)
    ids, mask = torch.tensor([[1, 2, 3], [4, 5, 6]]), torch.ones(2, 3, dtype=torch.int64)
    with torch.no_grad():
        together = model(ids, mask)["sentence_embedding"]
        alone = model(ids[:1], mask[:1])["sentence_embedding"]
    torch.testing.assert_close(together[:1], alone)
