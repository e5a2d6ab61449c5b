"""Where a model lies that somebody names: in a folder, in a package, or in Hugging Face's cache. Nothing is fetched."""

import re
from pathlib import Path
from typing import NamedTuple

from encoders.folder import UnusableModel, packaged
from schemas.encoders import MINILM

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_SNAPSHOT = re.compile(r"models--([^/]+)/snapshots/[^/]+$")
"""How Hugging Face's cache names the folder of a repository's files, with -- for the slash of its name."""


class Located(NamedTuple):
    """A model: its name, as it becomes a part of its encoder's, its folder, and whether a package carries that."""

    name: str
    folder: Path
    is_packaged: bool = False


def located(model: str) -> Located:
    """The model of this name, or in this folder. Raises `UnusableModel`."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        return Located(_name_of(folder.resolve()), folder.resolve())
    if model == MINILM.model:
        return Located(model, packaged(MINILM), is_packaged=True)
    if _REPOSITORY.fullmatch(model) and (cached := _cached(model)) is not None:
        return Located(model, cached)
    raise UnusableModel(
        f"{model} is no folder here, and neither a packaged model nor in Hugging Face's cache. Nenrin fetches nothing "
        "itself: `hf download NAME --local-dir DIR` does, then `nenrin encoders add DIR`"
    )


def _name_of(folder: Path) -> str:
    found = _SNAPSHOT.search(folder.as_posix())
    return folder.name if found is None else found[1].replace("--", "/", 1)


def _cached(model: str) -> Path | None:
    from huggingface_hub import snapshot_download  # noqa: PLC0415  (it takes a second, and few name a model so)
    from huggingface_hub.errors import LocalEntryNotFoundError  # noqa: PLC0415

    try:
        return Path(snapshot_download(model, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
