"""Filters over metadata: checked, and turned into one SQL/JSON path predicate. Pure.

One predicate for the whole filter, bound as a parameter: a statement is the same whatever is filtered for, no value
ever becomes SQL, and the index over `filterable` finds what equality asks for. The path language already has our rules:
in its lax mode `[*]` takes a scalar for an array of one, numbers compare as numbers, strings by code point, and types
that differ compare as neither. Every leaf stands in `exists(... ? (...))`, which is never null, so that `!` negates it.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

import msgspec

from schemas.documents import check_characters
from schemas.errors import InvalidInput

DEPTH = 20
"""How many filters may stand inside one another by `$and`, `$or` and `$not`."""

_ALWAYS, _NEVER = "(1 == 1)", "(1 == 0)"
_COMPARED = {"$eq": "==", "$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}


def path_of(filter_: Mapping[str, Any]) -> str:
    """The predicate for `filter_`, to be bound as jsonpath. Raises `InvalidInput`, naming the member at fault."""
    return _filter(filter_, "filter", 0)


def _filter(filter_: object, at: str, depth: int) -> str:
    if not isinstance(filter_, dict):
        raise InvalidInput(at, "a filter is an object: fields with what they must be")
    if depth > DEPTH:
        raise InvalidInput(at, f"nested more than {DEPTH} deep")
    return _all(_member(key, value, f"{at}.{_shown(key)}", depth) for key, value in filter_.items())


def _member(key: str, value: object, at: str, depth: int) -> str:
    match key:
        case "$and":
            return _all(_filters(value, at, depth))
        case "$or":
            return _any(_filters(value, at, depth))
        case "$not":
            return f"!({_filter(value, at, depth + 1)})"
        case _ if key.startswith("$"):
            raise InvalidInput(at, "unknown operator; here stand $and, $or, $not, or a field of the metadata")
    check_characters(at, key)
    field = f"$.{_literal(key)}"
    if not isinstance(value, dict):
        return _one_of(field, [_scalar(value, at)])
    return _all(_condition(field, operator, operand, f"{at}.{_shown(operator)}") for operator, operand in value.items())


def _filters(value: object, at: str, depth: int) -> list[str]:
    if not isinstance(value, list):
        raise InvalidInput(at, "an array of filters was expected")
    return [_filter(each, f"{at}[{number}]", depth + 1) for number, each in enumerate(value)]


def _condition(field: str, operator: str, operand: object, at: str) -> str:
    match operator:
        case "$ne":
            return f"!{_one_of(field, [_scalar(operand, at)])}"
        case "$in":
            return _one_of(field, _scalars(operand, at))
        case "$nin":
            return f"!{_one_of(field, _scalars(operand, at))}"
        case "$exists":
            return _exists(field, operand, at)
        case _ if operator in _COMPARED:
            return f"exists({field}[*] ? (@ {_COMPARED[operator]} {_scalar(operand, at)}))"
    raise InvalidInput(at, f"unknown operator; known are {', '.join(sorted({*_COMPARED, *_OTHERS}))}")


_OTHERS = ("$ne", "$in", "$nin", "$exists")


def _exists(field: str, operand: object, at: str) -> str:
    if not isinstance(operand, bool):
        raise InvalidInput(at, "true or false was expected")
    return f"exists({field})" if operand else f"!exists({field})"


def _one_of(field: str, literals: Iterable[str]) -> str:
    tests = _joined(" || ", [f"@ == {literal}" for literal in literals])
    return f"exists({field}[*] ? ({tests}))" if tests else _NEVER


def _scalars(operand: object, at: str) -> list[str]:
    if not isinstance(operand, list):
        raise InvalidInput(at, "an array of values was expected")
    return [_scalar(value, f"{at}[{number}]") for number, value in enumerate(operand)]


def _scalar(value: object, at: str) -> str:
    if isinstance(value, str):
        check_characters(at, value)
    elif isinstance(value, (list, dict)):
        raise InvalidInput(at, "a value is a string, a number, true, false or null; for one of several, use $in")
    elif isinstance(value, float) and not isfinite(value):
        raise InvalidInput(at, "not a finite number")
    return _literal(value)


def _all(predicates: Iterable[str]) -> str:
    return _joined(" && ", list(predicates)) or _ALWAYS


def _any(predicates: Iterable[str]) -> str:
    return _joined(" || ", list(predicates)) or _NEVER


def _joined(operator: str, predicates: Sequence[str]) -> str:
    """As a balanced tree: Postgres recurses into it, and a list of thousands would exhaust its stack."""
    if len(predicates) < 2:
        return "".join(predicates)
    middle = len(predicates) // 2
    return f"({_joined(operator, predicates[:middle])}{operator}{_joined(operator, predicates[middle:])})"


def _literal(value: object) -> str:
    """As the path language reads it, which takes JSON's literals as they are."""
    return msgspec.json.encode(value).decode()


def _shown(key: str) -> str:
    return ascii(key if len(key) <= 80 else f"{key[:77]}...")[1:-1]
