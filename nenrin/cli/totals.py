"""What a run of `nenrin add` has done so far."""

import json
import time
from collections import Counter

import msgspec

from nenrin.cli.corpus.items import LeftOut

KEPT = 1_000
"""Reasons that are kept: a file of a million bad lines has as many, and one reads like the other."""


class Totals:
    """Counts of documents, and the first reasons why some were left out."""

    def __init__(self) -> None:
        self.added = 0
        self.unchanged = 0
        self.removed = 0
        self.files = 0
        self.bytes = 0
        self.left_out: list[LeftOut] = []
        self.left_out_count = 0
        self.others: Counter[str] = Counter()
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self._began

    @property
    def documents(self) -> int:
        """Those that were dealt with."""
        return self.added + self.unchanged + self.removed + self.left_out_count

    def leave_out(self, item: LeftOut) -> None:
        """Count what was left out, and keep the first reasons."""
        self.left_out_count += 1
        if len(self.left_out) < KEPT:
            self.left_out.append(item)

    def report(self, version: str) -> bytes:
        """As JSON. `version` is the token that covers all that was written."""
        report = msgspec.to_builtins(
            {
                "added": self.added,
                "unchanged": self.unchanged,
                "removed": self.removed,
                "left_out": self.left_out,
                "left_out_count": self.left_out_count,
                "version": version,
                "bytes": self.bytes,
                "seconds": round(self.seconds, 3),
            }
        )
        # a file's name may be no UTF-8, which JSON has to be
        return json.dumps(report, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
