"""Events of a later version of Nenrin: `nenrin.document.added` has a v2 and a v3; vectors had a v0."""

import msgspec

from schemas import documents, embedded
from schemas.documents import ADDED, DocumentAdded
from schemas.embedded import Kind, Source
from schemas.upcasting import DOCUMENTS, PASSAGES, Known, Older, with_older

ADDED_2 = "nenrin.document.added.v2"
ADDED_3 = "nenrin.document.added.v3"
REMOVED_0 = "nenrin.passages.removed.v0"


class AddedV2(msgspec.Struct, frozen=True):
    """Language is a member of its own; every document has a title."""

    collection: str
    document_id: str
    text: str
    title: str
    language: str = "und"


class AddedV3(DocumentAdded, frozen=True):
    """What the folds know in that version: v2's language is metadata like any other again."""


def added_1_to_2(old: DocumentAdded) -> AddedV2:
    """A document without a title gets the beginning of its text."""
    title = old.text[:20] if old.title is None else old.title
    return AddedV2(old.collection, old.document_id, old.text, title, old.metadata.get("lang", "und"))


def added_2_to_3(old: AddedV2) -> AddedV3:
    """Language becomes metadata."""
    return AddedV3(old.collection, old.document_id, old.text, old.title, {"language": old.language})


class RemovedV0(msgspec.Struct, frozen=True):
    """A removal that names its document in one word."""

    source: Source
    key: str


def removed_0_to_1(old: RemovedV0) -> embedded.Removed:
    """Two words of one."""
    collection, _, document_id = old.key.partition("/")
    return embedded.Removed(old.source, collection, document_id)


OLDER = (
    Older(ADDED_2, AddedV2, added_2_to_3, ADDED_3),
    Older(ADDED, DocumentAdded, added_1_to_2, ADDED_2, documents.check),
)
"""v1 is what this version of Nenrin writes."""

LATER = with_older({ADDED_3: Known(AddedV3, documents.check), documents.REMOVED: DOCUMENTS[documents.REMOVED]}, OLDER)
LATER_PASSAGES = with_older(PASSAGES, (Older(REMOVED_0, RemovedV0, removed_0_to_1, Kind.REMOVED),))
