"""An encoder out of a model's folder: what the folder says itself, and how texts are to be cut for it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import msgspec

from encoders.finding import Located
from encoders.folder import UnusableModel, config, dimensions, pooling, read, revision
from encoders.tokens import Tokens
from schemas.encoders import MINILM, Encoder, Pooling
from schemas.errors import InvalidInput

MOST_DIMENSIONS = 4000
"""pgvector's limit for an HNSW index over `halfvec`."""
_WIDEST = 512
"""Tokens of a window where nobody asks for more: what a passage needs, and a question seldom."""
_LATER = {"camembert", "mpnet", "roberta", "xlm-roberta", "xlm-roberta-xl"}
"""Networks that count positions from behind the number of their padding token."""
_UNLIMITED = 10**9
"""A tokenizer without a limit of its own says one of thirty digits."""


class Cut(msgspec.Struct, frozen=True):
    """How texts are cut, in tokens, where it isn't left to the model: see `schemas.encoders.Encoder`."""

    window: int | None = None
    passage: int | None = None
    overlap: int | None = None


def encoder_of(model: Located, cut: Cut | None = None) -> Encoder:
    """The encoder that a model is. Raises `UnusableModel`, and `InvalidInput` for a cut that doesn't fit it."""
    folder, cut = model.folder, cut or Cut()
    kind = pooling(folder)
    if kind not in ("mean", "cls"):
        raise UnusableModel(f"the model in {folder} has the pooling {kind or 'none'}; only mean and cls do")
    if (size := dimensions(folder)) > MOST_DIMENSIONS:
        raise UnusableModel(
            f"the model in {folder} makes vectors of {size:,} numbers; pgvector's index takes {MOST_DIMENSIONS:,}"
        )
    widest = _widest(folder)
    window = cut.window or min(widest, _WIDEST)
    encoder = Encoder(model.name, revision(folder), cast(Pooling, kind), size, window, passage=0, overlap=0)
    room = _room(folder, encoder)
    passage = min(MINILM.passage, room) if cut.passage is None else cut.passage
    overlap = min(MINILM.overlap, passage // 4) if cut.overlap is None else cut.overlap
    _check("window", window, 8, widest)
    _check("passage", passage, 4, room)
    _check("overlap", overlap, 0, passage // 2)
    return Encoder(model.name, encoder.revision, encoder.pooling, size, window, passage, overlap)


def remarks(folder: Path) -> Iterator[str]:
    """What a model's folder asks for that is not done, a sentence each."""
    prompts: dict[str, Any] = _optional(folder / "config_sentence_transformers.json").get("prompts") or {}
    if asked := {name: prompt for name, prompt in prompts.items() if prompt}:
        yield f"the model's prompts ({', '.join(asked)}) are not put before texts: they are encoded as they are"


def _room(folder: Path, encoder: Encoder) -> int:
    """Tokens of a text in the window. Raises `UnusableModel` for a tokenizer that can't be used."""
    try:
        tokens = Tokens(folder, encoder)
    except Exception as error:  # tokenizers' errors have no base of their own
        raise UnusableModel(f"the tokenizer of the model in {folder} can't be used: {error}") from error
    if _optional(folder / "sentence_bert_config.json").get("do_lower_case") and not tokens.lowers:
        raise UnusableModel(
            f"the model in {folder} wants its texts in lower case, and its tokenizer.json doesn't see to that: "
            "`SentenceTransformer(FOLDER).save(ANOTHER)` writes one that does"
        )
    return tokens.room


def _widest(folder: Path) -> int:
    """The most tokens that the network reads at once, special ones included."""
    settings = config(folder)
    positions = settings.get("max_position_embeddings", _UNLIMITED)
    if settings.get("model_type") in _LATER:
        positions -= settings.get("pad_token_id", 1) + 1
    said = _optional(folder / "sentence_bert_config.json").get("max_seq_length")
    tokenizer = _optional(folder / "tokenizer_config.json").get("model_max_length") or _UNLIMITED
    widest = int(min(positions, said or min(tokenizer, _UNLIMITED)))
    return widest if widest < _UNLIMITED else _WIDEST


def _optional(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = read(path) if path.exists() else {}
    return found


def _check(setting: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InvalidInput(f"--{setting}", f"{value} tokens, but this model takes {least} to {most}")
