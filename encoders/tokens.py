"""Texts to the token ids that a model sees, the same for passages and questions. Without torch."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders.chunking import Tokenised
from schemas.encoders import QUERY_CHARACTERS, Encoder

_SENTENCES_AT_ONCE = 1024


class Tokens:
    """A model's tokenizer, and the special tokens that its model wants around every text."""

    def __init__(self, folder: Path, encoder: Encoder) -> None:
        from tokenizers import Tokenizer  # noqa: PLC0415  (only those who encode have it installed)

        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._before, self._after = self._special()
        self.room = encoder.window - len(self._before) - len(self._after)
        """Tokens of a text that the model sees at once."""

    def sentences(self, texts: Sequence[str]) -> Iterator[Tokenised]:
        """Tokenise in batches that give the tokenizer's threads enough to do, and the GIL back within milliseconds."""
        for first in range(0, len(texts), _SENTENCES_AT_ONCE):
            batch = texts[first : first + _SENTENCES_AT_ONCE]
            yield from self._tokenizer.encode_batch(batch, add_special_tokens=False)

    def question(self, text: str) -> NDArray[np.int32]:
        """What the model sees of a question: as much as its window holds."""
        ids = self._tokenizer.encode(text[:QUERY_CHARACTERS].strip(), add_special_tokens=False).ids
        return self.framed(np.array(ids[: self.room], dtype=np.int32))

    def framed(self, tokens: NDArray[np.int32]) -> NDArray[np.int32]:
        """What the model sees of a passage: its tokens, and the special ones around them."""
        return np.concatenate([self._before, tokens, self._after])

    @property
    def lowers(self) -> bool:
        """Whether capital letters are the same to it as small ones."""
        ids = [self._tokenizer.encode(text, add_special_tokens=False).ids for text in ("Oak", "oak")]
        return bool(ids[0] == ids[1])

    def _special(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        probe = self._tokenizer.encode("a", add_special_tokens=True)
        text = [at for at, special in enumerate(probe.special_tokens_mask) if not special]
        before, after = probe.ids[: text[0]], probe.ids[text[-1] + 1 :]
        return np.array(before, dtype=np.int32), np.array(after, dtype=np.int32)
