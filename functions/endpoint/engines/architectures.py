"""Architectures by name, for weights that come with a ``config.json`` instead of a program.

What is computed is written here and nowhere else: an artifact names one of these and brings its sizes and
its weights, never code (law 12). A config's ``architectures`` holds the name, as Hugging Face has it.
"""

from __future__ import annotations

import itertools
import json
import mmap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from model_store.contract.errors import IntegrityError

Config = Mapping[str, Any]

_DTYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16, "I32": torch.int32,
    "I64": torch.int64, "F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32,
    "F64": torch.float64,
}  # fmt: skip

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "gelu": functional.gelu,
    "tanh": torch.tanh,
}


class Perceptron(nn.Module):
    """Linear layers of ``sizes`` with an ``activation`` between them, weights ``layers.N.weight``."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        sizes = [int(size) for size in config["sizes"]]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        self._activation = _activation(config.get("activation", "relu"))

    def forward(self, x: Tensor) -> Tensor:
        """``x`` [rows, sizes[0]] to [rows, sizes[-1]]."""
        *hidden, last = self.layers
        for layer in hidden:
            x = self._activation(layer(x))
        return cast("Tensor", last(x))


class BertModel(nn.Module):
    """BERT as Hugging Face's ``BertModel`` has it, in names of weights and in numbers; what MiniLM is.

    ``input_ids``, ``attention_mask`` and ``token_type_ids``, each [rows, tokens], to ``last_hidden_state``
    [rows, tokens, hidden_size], ``pooler_output`` and ``sentence_embedding``, the mean over the tokens that
    the mask keeps at length 1, both [rows, hidden_size].
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        if config.get("position_embedding_type", "absolute") != "absolute":
            raise IntegrityError("a BertModel with other than absolute positions is not one of this engine's")
        self.embeddings = _Embeddings(config)
        self.encoder = nn.Module()
        layers = [_Layer(config) for _ in range(int(config["num_hidden_layers"]))]
        self.encoder.layer = nn.ModuleList(layers)
        self.pooler = nn.Module()
        self.pooler.dense = nn.Linear(int(config["hidden_size"]), int(config["hidden_size"]))

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> dict[str, Tensor]:
        kinds = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        hidden = self.embeddings(input_ids, kinds)
        keep = attention_mask.bool()[:, None, None, :]
        for layer in cast("nn.ModuleList", self.encoder.layer):
            hidden = layer(hidden, keep)
        pooled = torch.tanh(cast("nn.Linear", self.pooler.dense)(hidden[:, 0]))
        weights = attention_mask.to(hidden.dtype).unsqueeze(-1)
        mean = (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        return {
            "last_hidden_state": hidden,
            "pooler_output": pooled,
            "sentence_embedding": functional.normalize(mean, dim=1),
        }


class _Embeddings(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        hidden = int(config["hidden_size"])
        self.word_embeddings = nn.Embedding(int(config["vocab_size"]), hidden)
        self.position_embeddings = nn.Embedding(int(config["max_position_embeddings"]), hidden)
        self.token_type_embeddings = nn.Embedding(int(config.get("type_vocab_size", 2)), hidden)
        self.LayerNorm = _norm(config)

    def forward(self, ids: Tensor, kinds: Tensor) -> Tensor:
        positions = torch.arange(ids.shape[1], device=ids.device)
        there = self.word_embeddings(ids) + self.token_type_embeddings(kinds)
        return cast("Tensor", self.LayerNorm(there + self.position_embeddings(positions)))


class _Layer(nn.Module):
    """Attention and two linear layers, each with what came in added and normalised after."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        hidden, inner = int(config["hidden_size"]), int(config["intermediate_size"])
        self._heads = int(config["num_attention_heads"])
        self._activation = _activation(config.get("hidden_act", "gelu"))
        own = nn.Module()
        for name in ("query", "key", "value"):
            own.add_module(name, nn.Linear(hidden, hidden))
        self.attention = nn.Module()
        self.attention.add_module("self", own)
        self.attention.add_module("output", _AddAndNorm(hidden, config))
        self.intermediate = nn.Module()
        self.intermediate.dense = nn.Linear(hidden, inner)
        self.output = _AddAndNorm(inner, config)

    def forward(self, hidden: Tensor, keep: Tensor) -> Tensor:
        rows, tokens, width = hidden.shape
        own = self.attention.get_submodule("self")
        query, key, value = (
            own.get_submodule(name)(hidden).view(rows, tokens, self._heads, -1).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=keep)
        mixed = seen.transpose(1, 2).reshape(rows, tokens, width)
        hidden = self.attention.get_submodule("output")(mixed, hidden)
        inner = self._activation(cast("nn.Linear", self.intermediate.dense)(hidden))
        return cast("Tensor", self.output(inner, hidden))


class _AddAndNorm(nn.Module):
    def __init__(self, width: int, config: Config) -> None:
        super().__init__()
        self.dense = nn.Linear(width, int(config["hidden_size"]))
        self.LayerNorm = _norm(config)

    def forward(self, inner: Tensor, before: Tensor) -> Tensor:
        return cast("Tensor", self.LayerNorm(self.dense(inner) + before))


def _norm(config: Config) -> nn.LayerNorm:
    return nn.LayerNorm(int(config["hidden_size"]), eps=float(config.get("layer_norm_eps", 1e-12)))


def _activation(name: object) -> Callable[[Tensor], Tensor]:
    try:
        return _ACTIVATIONS[str(name)]
    except KeyError:
        raise IntegrityError(
            f"`{str(name)[:80]}` is not an activation that this engine knows",
            hint=f"It knows {', '.join(_ACTIVATIONS)}.",
        ) from None


ARCHITECTURES: dict[str, Callable[[Config], nn.Module]] = {"Perceptron": Perceptron, "BertModel": BertModel}

_COMPUTED = frozenset({"embeddings.position_ids"})
"""Written by some versions of Hugging Face's library, though it follows from the sizes."""


def declared(folder: Path, entry: str) -> nn.Module:
    """The module that ``config.json`` beside ``entry`` declares, with the weights of ``entry``.

    Raises ``IntegrityError`` for an architecture that is not here and for weights that are not its own.
    """
    place = (folder / entry).parent
    config = json.loads((place / "config.json").read_bytes())
    names = [str(name) for name in config.get("architectures") or ["none"]]
    build = ARCHITECTURES.get(names[0])
    if build is None:
        raise IntegrityError(
            f"the architecture `{names[0][:80]}` is not one that this engine knows",
            hint=f"It knows {', '.join(ARCHITECTURES)}; export other models to ONNX or `torch.export`.",
        )
    try:
        # No memory for weights that are about to be replaced.
        with torch.device("meta"):
            module = build(config)
        weights = {name: each for name, each in _weights(folder / entry).items() if name not in _COMPUTED}
        module.load_state_dict(weights, strict=True, assign=True)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        said = " ".join(str(error).split())
        raise IntegrityError(f"the weights are not those of a {names[0]}: {said[:300]}") from error
    return module.float().eval().requires_grad_(requires_grad=False)


def _weights(entry: Path) -> dict[str, Tensor]:
    """Every tensor of a safetensors file, or of all files that an index names."""
    if not entry.name.endswith(".json"):
        return _tensors(entry)
    placed: dict[str, str] = json.loads(entry.read_bytes())["weight_map"]
    found: dict[str, Tensor] = {}
    for name in sorted(set(placed.values())):
        found |= _tensors(entry.parent / name)
    return found


def _tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, over its mapped bytes: pages are read when they are needed."""
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    length = int.from_bytes(mapped[:8], "little")
    header = json.loads(mapped[8 : 8 + length])
    header.pop("__metadata__", None)
    found: dict[str, Tensor] = {}
    for name, said in header.items():
        start, end = said["data_offsets"]
        dtype = _DTYPES[said["dtype"]]
        count = (end - start) // dtype.itemsize
        flat = (
            torch.frombuffer(mapped, dtype=dtype, count=count, offset=8 + length + start)
            if count
            else torch.empty(0, dtype=dtype)
        )
        found[name] = flat.reshape(said["shape"])
    return found
