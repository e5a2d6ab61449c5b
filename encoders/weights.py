"""A model's weights, mapped into memory: read where they lie, shared by all processes that do so."""

import json
import mmap
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class Weights:
    """The float32 tensors of BERT's embeddings and layers in a safetensors file, by name.

    The format, as safetensors documents it: eight little-endian bytes with the length of a JSON header, the header
    with each tensor's type, shape and place, then the tensors.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)  # onnxruntime wants writable arrays
        length = int.from_bytes(self._mapped[:8], "little")
        header = json.loads(self._mapped[8 : 8 + length])
        named = {name.removeprefix("bert."): tensor for name, tensor in header.items()}
        self.tensors = {
            name: self._tensor(8 + length + tensor["data_offsets"][0], tensor["shape"])
            for name, tensor in named.items()
            if tensor.get("dtype") == "F32" and name.startswith(("embeddings.", "encoder."))
        }

    def unload(self) -> None:
        """Give the memory back; what is read again comes from the file."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._mapped.madvise(mmap.MADV_DONTNEED)

    def _tensor(self, offset: int, shape: list[int]) -> NDArray[np.float32]:
        count = int(np.prod(shape))
        return np.frombuffer(self._mapped, dtype="<f4", offset=offset, count=count).reshape(shape)
