"""The OpenAPI document of a service: what Litestar reads off the handlers, completed with what it cannot know.

The schemas are msgspec's, made from the same types that read and write; headers, problems and examples come from a
service's `Vocabulary`. Pure, but for what it is made from.
"""

from collections.abc import Iterator, Mapping, Sequence
from inspect import cleandoc
from typing import Any

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler

from web.problem_types import MEMBERS, SHARED, ProblemType
from web.problems import Problem

Json = dict[str, Any]

REFERENCE = "#/components/schemas/{name}"


class Call(msgspec.Struct, frozen=True):
    """What a call has beside its path and its shapes: names of parameters and headers, and one example each."""

    tag: str
    parameters: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    request: Any = None
    answer: Any = None


_STATUS = {name: Call("Status") for name in ("healthz", "readyz", "metrics")}


class Vocabulary(msgspec.Struct, frozen=True):
    """A service's words: its calls by operation id, and the parameters, headers and problems that they share.

    `members` are the extension members of its problems, `problem_headers` their headers by status, `shapes` the types
    that only these members refer to.
    """

    title: str
    about: str = ""
    tags: Mapping[str, str] = {}
    calls: Mapping[str, Call] = {}
    parameters: Mapping[str, Json] = {}
    headers: Mapping[str, Json] = {}
    problems: Mapping[str, ProblemType] = {}
    members: Mapping[str, Json] = {}
    problem_headers: Mapping[int, tuple[str, ...]] = {}
    shapes: tuple[type[msgspec.Struct], ...] = ()

    @property
    def all_problems(self) -> Mapping[str, ProblemType]:
        """Its own, and those that every service has."""
        return {**SHARED, **self.problems}


class Documentation:
    """The document of one application, made when it is first asked for."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._made: Json | None = None

    def of(self, app: Litestar) -> Json:
        """The document; always of the same application."""
        if self._made is None:
            self._made = completed(app.openapi_schema.to_schema(), list(_answers(app)), self._vocabulary)
        return self._made


def operation_id(handler: HTTPRouteHandler, method: object, path: object) -> str:
    """A call goes by the name of its handler."""
    return handler.handler_name


def _answers(app: Litestar) -> Iterator[type]:
    """The types that handlers answer with."""
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            returned = handler.parsed_fn_signature.return_type
            yield from (each.annotation for each in (returned, *returned.inner_types) if _is_struct(each.annotation))


def _is_struct(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, msgspec.Struct)


def completed(document: Json, answers: Sequence[type], words: Vocabulary) -> Json:
    """Litestar's document with everything that a stranger needs."""
    del document["servers"]
    document["info"] |= {"description": words.about, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}}
    document["tags"] = [{"name": name, "description": about} for name, about in words.tags.items()]
    document["components"] = {
        "schemas": schemas([*answers, Problem, *words.shapes]),
        "parameters": dict(words.parameters),
        "headers": dict(words.headers),
        "responses": {str(status): _problems(status, words) for status in _statuses(words)},
    }
    calls = {**_STATUS, **words.calls}
    for operations in document["paths"].values():
        for operation in operations.values():
            call = calls.get(operation["operationId"], Call("Other"))
            _complete(operation, call, document["components"])
    return document


def schemas(shapes: Sequence[type]) -> dict[str, Json]:
    """The schemas of these types and of those inside them, by name."""
    _, components = msgspec.json.schema_components(dict.fromkeys(shapes), ref_template=REFERENCE)
    for each in components.values():
        each["description"] = cleandoc(each.get("description", ""))
    return components


def _statuses(words: Vocabulary) -> list[int]:
    return sorted({each.status for each in words.all_problems.values()})


def _complete(operation: Json, call: Call, components: Json) -> None:
    operation.pop("deprecated", None)
    operation["tags"] = [call.tag]
    in_path = [each["name"] for each in operation.get("parameters", ())]
    names = [name if name in components["parameters"] else "" for name in (*in_path, *call.parameters)]
    if parameters := [_reference("parameters", name) for name in names if name]:
        operation["parameters"] = parameters
    if call.request is not None:
        for content in operation["requestBody"]["content"].values():
            content["example"] = call.request
    responses = operation["responses"]
    for status in (*responses, "500"):
        if int(status) >= 400:
            responses[status] = _reference("responses", status)
        else:
            _answer(responses[status], call, components["schemas"])


def _answer(response: Json, call: Call, shapes: Mapping[str, Json]) -> None:
    response["headers"] = {name: _reference("headers", name) for name in call.headers}
    for content in response.get("content", {}).values():
        name = content["schema"].get("$ref", "").rpartition("/")[2]
        response["description"] = shapes.get(name, {}).get("description", "") or "What was asked for."
        if call.answer is not None:
            content["example"] = call.answer


def _problems(status: int, words: Vocabulary) -> Json:
    """The response of one status: any of the problem types that have it."""
    types = {slug: each for slug, each in words.all_problems.items() if each.status == status}
    known = {**MEMBERS, **words.members}
    members = {name: known[name] for each in types.values() for name in each.members}
    always = [name for name in members if all(name in each.members for each in types.values())]
    slugs = [f"/problems/{slug}" for slug in types]
    schema: Json = {
        "allOf": [{"$ref": REFERENCE.format(name="Problem")}],
        "properties": {"type": {"enum": slugs}, "status": {"const": status}, **members},
    }
    if always:
        schema["required"] = always
    return {
        "description": "\n".join(f"- `/problems/{slug}`: {each.about}" for slug, each in types.items()),
        "headers": {name: _reference("headers", name) for name in words.problem_headers.get(status, ())},
        "content": {"application/problem+json": {"schema": schema}},
    }


def _reference(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}
