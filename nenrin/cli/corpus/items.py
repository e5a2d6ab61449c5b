"""What comes out of files: documents, and what was left out."""

import msgspec

from nenrin.client.documents import Draft


class Taken(msgspec.Struct, frozen=True):
    """A document that was read, and where. `size` counts the bytes of the file that it took."""

    draft: Draft
    path: str
    size: int
    line: int | None = None


class LeftOut(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file, or the document on one of its lines, that was not added, and why."""

    path: str
    error: str
    line: int | None = None

    def __str__(self) -> str:
        place = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{place}: {self.error}"


Item = Taken | LeftOut
