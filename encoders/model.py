"""A model's weights on torch: a function from token ids to vectors."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from encoders.bert import Bert
from encoders.folder import WEIGHTS, UnusableModel, check, config, is_bert
from schemas.encoders import Encoder

Network = Callable[[Tensor, Tensor | None], Tensor]


class Model:
    """Weights on a device. Thread-safe."""

    def __init__(self, folder: Path, encoder: Encoder, device: str) -> None:
        check(folder, encoder)
        self.device = choose_device(device)
        self.precision = torch.float16 if self.device.type == "cuda" else torch.float32
        self._network = _network(folder, self.device, self.precision)
        self._pad = config(folder).get("pad_token_id") or 0
        self._pool = {"mean": _mean, "cls": _first}[encoder.pooling]

    @torch.inference_mode()
    def __call__(self, texts: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        """Encode one batch of token ids, special tokens included: a vector of length 1 for each."""
        ids, mask = self._padded(texts)
        hidden = self._network(ids, mask).float()
        vectors: NDArray[np.float32] = F.normalize(self._pool(hidden, mask), dim=1).cpu().numpy()
        return vectors

    def _padded(self, texts: Sequence[NDArray[np.int32]]) -> tuple[Tensor, Tensor | None]:
        lengths = np.array([len(text) for text in texts])
        mask = np.arange(lengths.max()) < lengths[:, None]
        ids = np.full(mask.shape, self._pad, dtype=np.int64)
        ids[mask] = np.concatenate(texts)
        tokens = torch.from_numpy(ids).to(self.device)
        return tokens, None if mask.all() else torch.from_numpy(mask).to(self.device)


def choose_device(device: str) -> torch.device:
    """The device that a setting of `auto`, `cpu` or `cuda` means on this machine."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise UnusableModel("NENRIN_DEVICE is cuda, but torch finds no CUDA device here; set it to auto or cpu")
    return torch.device(device)


def _network(folder: Path, device: torch.device, precision: torch.dtype) -> Network:
    if not is_bert(folder):
        return _foreign_network(folder, device, precision)
    tensors = load_file(folder / WEIGHTS, device=str(device))
    return Bert(
        config(folder), {name: tensor.to(precision) for name, tensor in tensors.items() if tensor.is_floating_point()}
    )


def _foreign_network(folder: Path, device: torch.device, precision: torch.dtype) -> Network:
    from transformers import AutoModel  # noqa: PLC0415  (takes seconds, and only models other than BERT need it)

    model = AutoModel.from_pretrained(folder, local_files_only=True, dtype=precision).to(device).eval()

    def network(ids: Tensor, mask: Tensor | None) -> Tensor:
        seen = torch.ones_like(ids) if mask is None else mask.long()
        hidden: Tensor = model(input_ids=ids, attention_mask=seen).last_hidden_state
        return hidden

    return network


def _mean(hidden: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return hidden.mean(1)
    return (hidden * mask.unsqueeze(2)).sum(1) / mask.sum(1, keepdim=True)


def _first(hidden: Tensor, mask: Tensor | None) -> Tensor:
    return hidden[:, 0]
