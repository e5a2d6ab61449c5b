"""Documents: their events, and the one place that decides whether an event is valid.

The command service, the embedder and the `documents` projection all ask here, so they can never disagree.
"""

import re
from collections.abc import Mapping
from math import isfinite
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from schemas.errors import InvalidInput

ADDED = "nenrin.document.added.v1"
REMOVED = "nenrin.document.removed.v1"

ID_CHARACTERS = 512
TEXT_BYTES = 1_000_000
TITLE_CHARACTERS = 1_000
METADATA_BYTES = 16 * 1024
UTF_8_BYTES = 4
"""The most that a character takes."""

_COLLECTION = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # Unicode's category Cc, whole
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_SIGNED_64 = range(-(2**63), 2**63)

# What JSON Schema can say of the same limits, for the schemas that we publish; `check` below decides. Patterns stand in
# `not`, for what `$` matches is not the same everywhere. Lone surrogates and sizes in bytes are beyond it.
_NO_NUL = {"not": {"pattern": r"\u0000"}}
_SCALAR = {
    "anyOf": [{"type": "string", "maxLength": METADATA_BYTES, **_NO_NUL}, {"type": ["number", "boolean", "null"]}]
}

CollectionName = Annotated[
    str,
    Meta(
        description="A namespace of documents.",
        examples=["handbook"],
        extra_json_schema={"pattern": f"^{_COLLECTION.pattern}$", "maxLength": 63},
    ),
]
DocumentId = Annotated[
    str,
    Meta(
        description="Any script, slashes, dots and spaces; no control characters.",
        examples=["guides/rings.md"],
        extra_json_schema={
            "minLength": 1,
            "maxLength": ID_CHARACTERS,
            "not": {"pattern": r"[\u0000-\u001f\u007f-\u009f]"},
        },
    ),
]
Text = Annotated[
    str,
    Meta(
        description=f"At most {TEXT_BYTES:,} bytes of UTF-8; empty is fine.",
        examples=["A tree adds one ring every year."],
        extra_json_schema={"maxLength": TEXT_BYTES, **_NO_NUL},
    ),
]
Title = Annotated[str, Meta(extra_json_schema={"maxLength": TITLE_CHARACTERS, **_NO_NUL})]
SourceUri = Annotated[str, Meta(description="Where the text came from.", extra_json_schema=_NO_NUL)]
Metadata = Annotated[
    dict[str, Any],
    Meta(
        description=f"Scalars or arrays of scalars; at most {METADATA_BYTES:,} bytes of compact JSON. Integers have at "
        "most 64 bits with sign.",
        examples=[{"lang": "en", "year": 2024, "tags": ["wood", "time"]}],
        extra_json_schema={
            "propertyNames": {"maxLength": METADATA_BYTES, **_NO_NUL},
            "additionalProperties": {"anyOf": [*_SCALAR["anyOf"], {"type": "array", "items": _SCALAR}]},
        },
    ),
]


class DocumentAdded(msgspec.Struct, frozen=True):
    """The whole document, as it is from this event on."""

    collection: CollectionName
    document_id: DocumentId
    text: Text
    title: Title | None = None
    metadata: Metadata = {}
    source_uri: SourceUri | None = None


class DocumentRemoved(msgspec.Struct, frozen=True):
    """From this event on there is no such document."""

    collection: CollectionName
    document_id: DocumentId


DocumentEvent = DocumentAdded | DocumentRemoved
DATA_OF: Mapping[str, type[DocumentAdded] | type[DocumentRemoved]] = {
    ADDED: DocumentAdded,
    REMOVED: DocumentRemoved,
}
TYPE_OF: Mapping[type, str] = {DocumentAdded: ADDED, DocumentRemoved: REMOVED}


def key_of(collection: str, document_id: str) -> bytes:
    """The Kafka key of every event of a document."""
    return f"{collection}/{document_id}".encode()


def check(event: DocumentEvent) -> None:
    """Raise `InvalidInput`, naming the field, unless the event's data keeps the contract."""
    check_collection(event.collection)
    check_document_id(event.document_id)
    if isinstance(event, DocumentAdded):
        _check_text(event.text)
        _check_optional("title", event.title)
        if event.title is not None and len(event.title) > TITLE_CHARACTERS:
            raise InvalidInput("title", f"at most {TITLE_CHARACTERS} characters, got {len(event.title)}")
        _check_optional("source_uri", event.source_uri)
        _check_metadata(event.metadata)


def check_collection(name: str) -> None:
    """Raise `InvalidInput` unless `name` can be a collection."""
    if not _COLLECTION.fullmatch(name):
        raise InvalidInput(
            "collection",
            "1 to 63 of a-z, 0-9, _ and -, beginning with a letter or digit; got " + _shown(name),
        )


def check_document_id(document_id: str) -> None:
    """Raise `InvalidInput` unless `document_id` can be a document's id."""
    if not document_id:
        raise InvalidInput("document_id", "empty; an id has 1 to 512 characters")
    if len(document_id) > ID_CHARACTERS:
        raise InvalidInput("document_id", f"at most {ID_CHARACTERS} characters, got {len(document_id)}")
    if found := _CONTROL.search(document_id):
        raise InvalidInput("document_id", f"control character U+{ord(found[0]):04X} at {found.start()}")
    check_characters("document_id", document_id)


def _check_text(text: str) -> None:
    check_characters("text", text)
    if len(text) > TEXT_BYTES // UTF_8_BYTES and (size := len(text.encode())) > TEXT_BYTES:
        raise InvalidInput("text", f"at most {TEXT_BYTES:,} bytes of UTF-8, got {size:,}; split the document")


def _check_optional(field: str, value: str | None) -> None:
    if value is not None:
        check_characters(field, value)


def check_characters(field: str, value: str) -> None:
    """Raise `InvalidInput` for U+0000 and lone surrogates, which neither UTF-8 nor Postgres can hold."""
    if "\0" in value:
        raise InvalidInput(field, f"U+0000 at {value.index(chr(0))}")
    if not value.isascii() and (found := _SURROGATE.search(value)):
        raise InvalidInput(field, f"lone surrogate U+{ord(found[0]):04X} at {found.start()}")


def _check_metadata(metadata: Mapping[str, Any]) -> None:
    if not metadata:
        return
    for key, value in metadata.items():
        try:
            check_characters("", key)
            for scalar in value if isinstance(value, list) else (value,):
                _check_scalar(scalar)
        except InvalidInput as error:
            raise InvalidInput(f"metadata.{_shown(key)[1:-1]}", error.message) from None
    if (size := len(msgspec.json.encode(metadata))) > METADATA_BYTES:
        raise InvalidInput("metadata", f"at most {METADATA_BYTES:,} bytes of compact JSON, got {size:,}")


def _check_scalar(value: object) -> None:
    if isinstance(value, str):
        check_characters("", value)
    elif isinstance(value, (dict, list)):
        raise InvalidInput("", "nested; values are scalars, null or arrays of scalars")
    elif isinstance(value, int) and value not in _SIGNED_64:
        raise InvalidInput("", "an integer beyond 64 bits with sign")
    elif isinstance(value, float) and not isfinite(value):
        raise InvalidInput("", "not a finite number")


def _shown(value: str) -> str:
    """A value inside a message: short, and free of characters that break a log or a database."""
    return ascii(value if len(value) <= 80 else value[:77] + "...")
