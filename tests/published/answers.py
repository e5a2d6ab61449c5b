"""Judging answers by a published OpenAPI document, taken at its word: members that it doesn't name are faults."""

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

API = Path(__file__).parents[2] / "docs" / "api"
Json = dict[str, Any]


def published(name: str) -> Json:
    """A published document."""
    document: Json = json.loads((API / name).read_text())
    return document


def closed(document: Json) -> Json:
    """The document, its objects without room for more members."""
    strict = deepcopy(document)
    for name, schema in strict["components"]["schemas"].items():
        if name != "Problem" and "properties" in schema:
            schema["additionalProperties"] = False
    for response in strict["components"]["responses"].values():
        response["content"]["application/problem+json"]["schema"]["unevaluatedProperties"] = False
    return strict


class Judge:
    """Holds answers against a document."""

    def __init__(self, document: Json) -> None:
        self.document = closed(document)
        resource = Resource.from_contents(self.document, default_specification=DRAFT202012)
        self._registry: Registry[Any] = Registry().with_resource("openapi", resource)
        self.judged: set[tuple[str, str]] = set()

    def judge(self, operation: str, answer: httpx.Response) -> None:
        """Fail unless an answer of this operation is as the document says."""
        pointer = f"{self._place(operation)}/responses/{answer.status_code}"
        response, pointer = self._resolved(self._at(pointer), pointer)
        media = answer.headers["content-type"].partition(";")[0]
        assert media in {name.partition(";")[0] for name in response["content"]}, (operation, media)
        self._headers(response, answer)
        if "json" in media:
            self.check(answer.json(), f"{pointer}/content/{media.replace('/', '~1')}/schema")
        self.judged.add((operation, str(answer.status_code)))

    def check(self, value: object, pointer: str) -> None:
        """Fail unless a value follows the schema at a place of the document."""
        schema = {"$ref": f"openapi#{pointer}"}
        validator = Draft202012Validator(
            schema, registry=self._registry, format_checker=Draft202012Validator.FORMAT_CHECKER
        )
        assert not (faults := [error.message for error in validator.iter_errors(value)]), (pointer, faults, value)

    def operations(self) -> dict[str, Json]:
        """Every operation by its id."""
        return {each["operationId"]: each for path in self.document["paths"].values() for each in path.values()}

    def _headers(self, response: Json, answer: httpx.Response) -> None:
        if answer.is_error and "projection" not in answer.json():
            return  # no answer of a projection, so there is no version to tell
        for name, header in response.get("headers", {}).items():
            schema = self._resolved(header, "")[0]["schema"]
            assert name in answer.headers or name in ("Link", "Preference-Applied"), (name, answer.headers)
            if name in answer.headers and "pattern" in schema:
                assert re.search(schema["pattern"], answer.headers[name]), answer.headers[name]

    def _place(self, operation: str) -> str:
        for path, methods in self.document["paths"].items():
            for method, each in methods.items():
                if each["operationId"] == operation:
                    return f"/paths/{path.replace('/', '~1')}/{method}"
        raise AssertionError(f"{operation} is not published")

    def _resolved(self, value: Json, pointer: str) -> tuple[Json, str]:
        if "$ref" not in value:
            return value, pointer
        return self._at(value["$ref"][1:]), value["$ref"][1:]

    def _at(self, pointer: str) -> Json:
        found: Any = self.document
        for step in (each.replace("~1", "/") for each in pointer.strip("/").split("/")):
            assert step in found, f"{pointer} is not published"
            found = found[step]
        return dict(found)
