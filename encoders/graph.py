"""BERT and its pooling as an ONNX graph: token ids of one text to its vector.

The same network as `encoders.bert`, for a single text: no batch, no padding, no mask. The graph names the tensors of
the model's own safetensors file and holds none of them, so that it is small, and a model's weights exist only once.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from schemas.encoders import Pooling

_OPSETS = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
"""20 is the first with Gelu. Of onnxruntime's own operators we take the attention: a tenth faster than its parts."""
_IR_VERSION = 10


def bert(config: Mapping[str, Any], pooling: Pooling, weights: Mapping[str, NDArray[np.float32]]) -> onnx.ModelProto:
    """The graph `ids` (tokens,) of int64 → `vector` (dimensions,) of float32 and length 1.

    Raises `KeyError` for a weight that is missing.
    """
    network = _Network(config, weights)
    network.pool(network.encode("ids"), pooling)
    graph = helper.make_graph(
        network.nodes,
        "bert",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["tokens"])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [config["hidden_size"]])],
        network.tensors,
    )
    return helper.make_model(graph, opset_imports=_OPSETS, ir_version=_IR_VERSION, producer_name="nenrin")


class _Network:
    """Writes the nodes of a graph down, one after the other."""

    def __init__(self, config: Mapping[str, Any], weights: Mapping[str, NDArray[np.float32]]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []
        self._config = config
        self._weights = weights
        self._named: set[str] = set()
        self._first = self._constant("first", [0])

    def encode(self, ids: str) -> str:
        """From (tokens,) of ids to (tokens, dimensions)."""
        hidden = self._embed(ids)
        for layer in range(self._config["num_hidden_layers"]):
            hidden = self._layer(hidden, f"encoder.layer.{layer}")
        return hidden

    def pool(self, hidden: str, pooling: Pooling) -> None:
        """From (tokens, dimensions) to the output `vector`."""
        if pooling == "mean":
            pooled = self._node("ReduceMean", hidden, self._first, keepdims=0)
        else:
            pooled = self._node("Squeeze", self._node("Gather", hidden, self._first), self._first)
        self._node("LpNormalization", pooled, output="vector", axis=-1, p=2)

    def _embed(self, ids: str) -> str:
        words, positions, types = (
            self._weight(f"embeddings.{name}_embeddings.weight") for name in ("word", "position", "token_type")
        )
        places = self._node("Slice", positions, self._first, self._node("Shape", ids), self._first)
        kind = self._node("Gather", types, self._first)
        summed = self._node("Add", self._node("Add", self._node("Gather", words, ids), places), kind)
        return self._norm(summed, "embeddings.LayerNorm")

    def _layer(self, hidden: str, name: str) -> str:
        attended = self._linear(self._attend(hidden, f"{name}.attention.self"), f"{name}.attention.output.dense")
        hidden = self._norm(self._node("Add", hidden, attended), f"{name}.attention.output.LayerNorm")
        wide = self._node("Gelu", self._linear(hidden, f"{name}.intermediate.dense"))
        narrow = self._linear(wide, f"{name}.output.dense")
        return self._norm(self._node("Add", hidden, narrow), f"{name}.output.LayerNorm")

    def _attend(self, hidden: str, name: str) -> str:
        inputs = (
            self._node("Unsqueeze", self._linear(hidden, f"{name}.{part}"), self._first)
            for part in ("query", "key", "value")
        )
        heads = self._config["num_attention_heads"]
        attended = self._node("MultiHeadAttention", *inputs, domain="com.microsoft", num_heads=heads)
        return self._node("Squeeze", attended, self._first)

    def _linear(self, hidden: str, name: str) -> str:
        return self._node("Gemm", hidden, self._weight(f"{name}.weight"), self._weight(f"{name}.bias"), transB=1)

    def _norm(self, hidden: str, name: str) -> str:
        parts = (self._weight(f"{name}.{part}") for part in ("weight", "bias"))
        return self._node("LayerNormalization", hidden, *parts, axis=-1, epsilon=self._config["layer_norm_eps"])

    def _node(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def _weight(self, name: str) -> str:
        if name not in self._named:
            tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=self._weights[name].shape)
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="model.safetensors")
            self.tensors.append(tensor)
            self._named.add(name)
        return name

    def _constant(self, name: str, values: list[int]) -> str:
        self.tensors.append(helper.make_tensor(name, TensorProto.INT64, [len(values)], values))
        return name
