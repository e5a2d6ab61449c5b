"""Small models in folders as sentence-transformers lays them out, with random weights and MiniLM's tokenizer."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from encoders.folder import packaged
from schemas.encoders import MINILM

DIMENSIONS = 64
WORDS = 30_522
POSITIONS = 128
CONFIG: Mapping[str, Any] = {
    "model_type": "bert",
    "architectures": ["BertModel"],
    "hidden_act": "gelu",
    "hidden_size": DIMENSIONS,
    "intermediate_size": 2 * DIMENSIONS,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": POSITIONS,
    "num_attention_heads": 4,
    "num_hidden_layers": 1,
    "pad_token_id": 0,
    "type_vocab_size": 2,
    "vocab_size": WORDS,
}
MODULES = ("Transformer", "Pooling", "Normalize")


def save(folder: Path, pooling: Mapping[str, Any] | None = None, **changed: Any) -> Path:
    """Write a model that can be computed; `pooling` and the settings of its network may be said otherwise."""
    settings(folder, pooling, **changed)
    save_file(_weights(np.random.default_rng(7)), folder / "model.safetensors")
    return folder


def settings(folder: Path, pooling: Mapping[str, Any] | None = None, **changed: Any) -> Path:
    """Write all of a model but its weights, for which a few bytes stand."""
    pooling = {"embedding_dimension": DIMENSIONS, "pooling_mode": "mean"} if pooling is None else pooling
    (folder / "1_Pooling").mkdir(parents=True)
    write(folder / "config.json", {**CONFIG, **changed})
    write(folder / "1_Pooling" / "config.json", pooling)
    write(folder / "modules.json", modules(*MODULES))
    (folder / "model.safetensors").write_bytes(b"weights")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(packaged(MINILM) / name, folder / name)
    return folder


def modules(*kinds: str) -> list[dict[str, Any]]:
    """A `modules.json`, with the names that sentence-transformers gives its modules since 5.4."""
    return [
        {
            "idx": number,
            "name": str(number),
            "path": f"{number}_{kind}" if number else "",
            "type": f"sentence_transformers.sentence_transformer.modules.{kind.lower()}.{kind}",
        }
        for number, kind in enumerate(kinds)
    ]


def write(path: Path, content: Any) -> None:
    """Replace a JSON file."""
    path.write_text(json.dumps(content))


def _weights(chance: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    wide = 2 * DIMENSIONS
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings": (WORDS, DIMENSIONS),
        "embeddings.position_embeddings": (POSITIONS, DIMENSIONS),
        "embeddings.token_type_embeddings": (2, DIMENSIONS),
    }
    linear = {
        **{f"attention.self.{name}": (DIMENSIONS, DIMENSIONS) for name in ("query", "key", "value")},
        "attention.output.dense": (DIMENSIONS, DIMENSIONS),
        "intermediate.dense": (wide, DIMENSIONS),
        "output.dense": (DIMENSIONS, wide),
    }
    norms = ["embeddings.LayerNorm"] + [f"encoder.layer.0.{name}.LayerNorm" for name in ("attention.output", "output")]
    shapes |= {f"encoder.layer.0.{name}": shape for name, shape in linear.items()}
    weights = {f"{name}.weight": chance.normal(size=shape) / 8 for name, shape in shapes.items()}
    weights |= {f"encoder.layer.0.{name}.bias": np.zeros(shape[0]) for name, shape in linear.items()}
    weights |= {f"{name}.weight": np.ones(DIMENSIONS) for name in norms}
    weights |= {f"{name}.bias": np.zeros(DIMENSIONS) for name in norms}
    return {name: weight.astype(np.float32) for name, weight in weights.items()}
