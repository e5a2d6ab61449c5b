"""The JSON Schemas of all that travels in Kafka, made from the types: what other languages and tools check against.

They are never stricter than the code that judges events, and as strict as JSON Schema can be.
"""

from inspect import cleandoc
from typing import Any

import msgspec

from schemas import documents, embedded, traceparent, upcasting

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FILES = {documents.ADDED: "document-added", documents.REMOVED: "document-removed"}
_FILLED: Schema = {"type": "string", "minLength": 1}


def event_schemas() -> dict[str, Schema]:
    """Every schema by the name of its file, without `.schema.json`."""
    derived = {f"passages-{shape.kind.value.split('.')[2]}": shape for shape in embedded.SHAPES}
    return {
        **{FILES[type_]: _of(known.shape, f"Data of {type_}") for type_, known in upcasting.DOCUMENTS.items()},
        "headers": _headers(),
        "structured": _structured(),
        **{name: _derived(shape) for name, shape in derived.items()},
        "passages-headers": _derived_headers(),
    }


def _of(shape: type, title: str) -> Schema:
    """The schema of a type. Members that it doesn't name are allowed: readers ignore them."""
    made = msgspec.json.schema(shape)
    definitions: dict[str, Schema] = {
        name: each | {"description": cleandoc(each["description"])} for name, each in made["$defs"].items()
    }
    whole = definitions.pop(shape.__name__) | {"title": title}
    rest = {"$defs": definitions} if definitions else {}
    return {"$schema": DIALECT, **whole, **rest}


def _headers() -> Schema:
    """Binary mode: Kafka's headers as an object of strings."""
    return {
        "$schema": DIALECT,
        "title": "CloudEvents headers of a record in the topic documents",
        "description": "Binary mode: attributes in Kafka's headers (here an object of their UTF-8 values), the data in "
        "the record's value. The key is {collection}/{document_id}, its partition murmur2 of the key.",
        "type": "object",
        "properties": {
            "ce_specversion": _FILLED | {"examples": ["1.0"]},
            "ce_id": _FILLED | {"description": "Any; it does not deduplicate."},
            "ce_source": _FILLED | {"examples": ["/my/importer"]},
            "ce_type": {"enum": list(upcasting.DOCUMENTS)},
            "ce_time": {"type": "string", "description": "RFC 3339, by the producer's clock; not used."},
            "content-type": {"type": "string", "examples": ["application/json"]},
            traceparent.HEADER: {"type": "string", "description": "W3C Trace Context; kept beside the row."},
        },
        "required": ["ce_specversion", "ce_id", "ce_source", "ce_type"],
    }


def _structured() -> Schema:
    """Structured mode: a whole CloudEvent in the value; its data as JSON, or as base64 of JSON."""
    encoded = {"required": ["data_base64"], "properties": {"data_base64": {"type": "string"}}}
    return {
        "$schema": DIALECT,
        "title": "CloudEvent in structured mode",
        "description": "The value of a record whose header content-type begins with application/cloudevents+json.",
        "type": "object",
        "properties": {
            "specversion": _FILLED | {"examples": ["1.0"]},
            "id": _FILLED,
            "source": _FILLED,
            "type": {"enum": list(upcasting.DOCUMENTS)},
            "data_base64": {"type": ["string", "null"], "contentEncoding": "base64"},
        },
        "required": ["specversion", "id", "source", "type"],
        "if": encoded,
        "else": {"required": ["data"], "allOf": [_data_of(type_, file) for type_, file in FILES.items()]},
    }


def _data_of(type_: str, file: str) -> Schema:
    return {
        "if": {"properties": {"type": {"const": type_}}},
        "then": {"properties": {"data": {"$ref": f"{file}.schema.json"}}},
    }


def _derived(shape: type[embedded.Derived]) -> Schema:
    made = _of(shape, f"Value of {shape.kind}")
    made["description"] += (
        " The value is a MessagePack map. This schema is of the map once decoded, with binary values (MessagePack's "
        "bin) written as base64, as JSON writers do."
    )
    return made


def _derived_headers() -> Schema:
    return {
        "$schema": DIALECT,
        "title": "CloudEvents headers of a record in the topic documents.embedded.<encoder>",
        "type": "object",
        "properties": {
            "ce_specversion": {"const": "1.0"},
            "ce_id": _FILLED | {"description": "The source record: topic/partition/offset."},
            "ce_source": _FILLED | {"description": "/nenrin/embedder/<encoder>"},
            "ce_type": {"enum": [shape.kind.value for shape in embedded.SHAPES]},
            "ce_time": {"type": "string", "format": "date-time", "description": "The broker's, of the source record."},
            "content-type": {"const": embedded.CONTENT_TYPE.decode()},
            traceparent.HEADER: {"type": "string", "description": "W3C Trace Context."},
        },
        "required": ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type"],
    }
