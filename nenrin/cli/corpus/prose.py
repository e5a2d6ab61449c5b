"""Plain text, Markdown and reStructuredText: the text as it is, and its first heading."""

from itertools import pairwise
from pathlib import PurePath

from nenrin.client.documents import Draft
from schemas.documents import TITLE_CHARACTERS
from schemas.errors import InvalidInput

_RULES = frozenset("=-~^\"'`#*+.:_")


def draft(raw: bytes, document_id: str, source_uri: str | None) -> Draft:
    """The document in a text file. Raises `InvalidInput` when it is not UTF-8."""
    text = decoded(raw)
    return Draft(document_id, text, title_of(text) or PurePath(document_id).stem, source_uri=source_uri)


def decoded(raw: bytes) -> str:
    """UTF-8 as it is, without the mark that some editors put before it. Raises `InvalidInput`."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput("text", f"not UTF-8: byte {error.start}") from error


def title_of(text: str) -> str:
    """The first heading, in Markdown or underlined; "" when there is none among the first lines."""
    lines = _after_front_matter(text[:4096]).splitlines()[:30]
    for line, below in pairwise([*lines, ""]):
        if line.startswith("# "):
            return line[2:].strip(" #")[:TITLE_CHARACTERS]
        if line.strip() and len(below) >= 3 and set(below) <= _RULES and len(set(below)) == 1:
            return line.strip()[:TITLE_CHARACTERS]
    return ""


def _after_front_matter(text: str) -> str:
    """Without the block of YAML that many Markdown files begin with."""
    begins = text.startswith("---\n")
    return text.partition("\n---\n")[2] or text if begins else text
