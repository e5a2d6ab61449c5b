"""BERT's encoder on plain torch: the same numbers as transformers' `BertModel`, ready in a third of the time.

Importing transformers takes longer than all else that a process does before it can encode, and it is
imported anew after every restart. This is also where a CPU computes with oneDNN, which is twice as fast as
torch's default on processors that aren't Intel's.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Layer = Callable[[Tensor], Tensor]


class Bert:
    """Token ids to token vectors."""

    def __init__(self, config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        weights = {name.removeprefix("bert."): weight for name, weight in weights.items()}
        epsilon = config["layer_norm_eps"]
        embeddings = {
            name: weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type")
        }
        self._words = embeddings["word"]
        self._places = embeddings["position"] + embeddings["token_type"][0]
        self._norm = _norm(weights, "embeddings.LayerNorm", epsilon)
        self._blocks = [
            _Block(weights, f"encoder.layer.{number}", config["num_attention_heads"], epsilon)
            for number in range(config["num_hidden_layers"])
        ]

    def __call__(self, ids: Tensor, mask: Tensor | None) -> Tensor:
        """Encode (texts, tokens) to (texts, tokens, dimensions); the mask tells tokens from padding."""
        seen = None if mask is None else mask[:, None, None, :]
        hidden = self._norm(F.embedding(ids, self._words) + self._places[: ids.shape[1]])
        for block in self._blocks:
            hidden = block(hidden, seen)
        return hidden


class _Block:
    """Attention, then a feed-forward network, each added to what came in and normalised."""

    def __init__(self, weights: Mapping[str, Tensor], name: str, heads: int, epsilon: float) -> None:
        self._heads = heads
        self._query_key_value = _linear(
            weights, *(f"{name}.attention.self.{part}" for part in ("query", "key", "value"))
        )
        self._attended = _linear(weights, f"{name}.attention.output.dense")
        self._attended_norm = _norm(weights, f"{name}.attention.output.LayerNorm", epsilon)
        self._wide = _linear(weights, f"{name}.intermediate.dense")
        self._narrow = _linear(weights, f"{name}.output.dense")
        self._norm = _norm(weights, f"{name}.output.LayerNorm", epsilon)

    def __call__(self, hidden: Tensor, seen: Tensor | None) -> Tensor:
        hidden = self._attended_norm(hidden + self._attend(hidden, seen))
        return self._norm(hidden + self._narrow(F.gelu(self._wide(hidden))))

    def _attend(self, hidden: Tensor, seen: Tensor | None) -> Tensor:
        texts, tokens, dimensions = hidden.shape
        split = self._query_key_value(hidden).view(texts, tokens, 3, self._heads, dimensions // self._heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        return self._attended(attended.transpose(1, 2).reshape(texts, tokens, dimensions))


def _norm(weights: Mapping[str, Tensor], name: str, epsilon: float) -> Layer:
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    return lambda hidden: F.layer_norm(hidden, weight.shape, weight, bias, epsilon)


def _linear(weights: Mapping[str, Tensor], *names: str) -> Layer:
    """One layer that computes all the named ones, side by side."""
    weight = torch.cat([weights[f"{name}.weight"] for name in names])
    bias = torch.cat([weights[f"{name}.bias"] for name in names])
    if not _has_onednn(weight):
        return lambda hidden: F.linear(hidden, weight, bias)
    packed = torch.ops.mkldnn._reorder_linear_weight(weight)
    return lambda hidden: torch.ops.mkldnn._linear_pointwise(hidden, packed, bias, "none", [], "")


def _has_onednn(weight: Tensor) -> bool:
    """These two operators are the ones that torch's own compiler puts in for a linear layer on a CPU.

    They have no public name; where a torch or a processor is without them, torch's default computes the same.
    """
    return (
        weight.device.type == "cpu"
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and torch.backends.cpu.get_cpu_capability().startswith("AVX")
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
    )
