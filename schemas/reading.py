"""Reading JSON that strangers wrote, with messages that name the field."""

import json
import re
from typing import TypeVar

import msgspec

from schemas.errors import InvalidInput

T = TypeVar("T")

_PATH = re.compile(r"^(?P<what>.*) - at `\$\.?(?P<path>.*)`$", re.DOTALL)
_MEMBER = re.compile(r"Object (?:missing required|contains unknown) field `(?P<name>.*)`")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def read(raw: bytes, shape: type[T]) -> T:
    """Decode JSON into `shape`, strictly. Raises `InvalidInput`."""
    try:
        return msgspec.json.decode(raw, type=shape)
    except msgspec.ValidationError as error:
        raise _wrong_shape(str(error)) from error
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise _wrong_json(raw, str(error)) from error


def _wrong_shape(message: str) -> InvalidInput:
    found = _PATH.match(message)
    what, path = (found["what"], found["path"]) if found else (message, "")
    if member := _MEMBER.search(what):
        path = f"{path}.{member['name']}" if path else member["name"]
        what = "missing" if "missing" in what else "unknown field"
    return InvalidInput(path, what)


def _wrong_json(raw: bytes, message: str) -> InvalidInput:
    """Say which member is at fault, which the fast decoder does not: a second, slow look, at bad input only."""
    try:
        value = json.loads(raw.decode(), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        return InvalidInput("", f"not UTF-8: byte {error.start}")
    except RecursionError:
        return InvalidInput("", "nested too deeply")
    except _Constant as constant:
        return InvalidInput("", f"{constant} is not JSON: numbers are finite")
    except ValueError as error:
        return InvalidInput("", f"not JSON: {error}")
    at = _surrogate_in(value)
    return InvalidInput("", message) if at is None else InvalidInput(at, "lone surrogate")


class _Constant(Exception):
    pass


def _refuse_constant(name: str) -> object:
    raise _Constant(name)


def _surrogate_in(value: object, path: str = "") -> str | None:
    """The path of the first string with a lone surrogate."""
    if isinstance(value, str):
        return path if _SURROGATE.search(value) else None
    if isinstance(value, dict):
        members = [
            (f"{path}.{ascii(key)[1:-1]}" if path else ascii(key)[1:-1], key, item) for key, item in value.items()
        ]
        return next((found for at, key, item in members if (found := _at(at, key, item)) is not None), None)
    if isinstance(value, list):
        return next((found for item in value if (found := _surrogate_in(item, path)) is not None), None)
    return None


def _at(path: str, key: str, value: object) -> str | None:
    return path if _SURROGATE.search(key) else _surrogate_in(value, path)
