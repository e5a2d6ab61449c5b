"""The read models that there are, by the names of their projections."""

from projections.documents import Documents
from projections.passages import Passages
from projections.port import ReadModel
from schemas.errors import InvalidInput

NAMES = (Documents.name, Passages.name)


def model(name: str, language: str) -> ReadModel:
    """The read model of a projection; `language` configures the text search of those that have one.

    Raises `InvalidInput`.
    """
    match name:
        case Documents.name:
            return Documents()
        case Passages.name:
            return Passages(language)
        case _:
            raise InvalidInput("NAME", f"there is no projection {name!r}; there are {', '.join(NAMES)}")
