"""Lines of a file that may be larger than memory."""

from collections.abc import Iterator
from typing import BinaryIO

LINE_BYTES = 4 * 1024 * 1024
"""As much as the command service takes in a line."""

_BOM = b"\xef\xbb\xbf"


def lines(file: BinaryIO, limit: int = LINE_BYTES) -> Iterator[bytes]:
    """Every line with its end; of one that is too long the first `limit` + 1 bytes, and the rest is passed over."""
    first = True
    while line := file.readline(limit + 1):
        yield line.removeprefix(_BOM) if first else line
        first = False
        rest = line
        while len(rest) > limit and not rest.endswith(b"\n"):
            rest = file.readline(limit + 1)
