"""Where the services are: named, or found where the command line finds them too."""

import os
from pathlib import Path

import msgspec

from nenrin.abandoned import explanation, is_abandoned
from nenrin.client.errors import NoStack

STATE = ".nenrin"


class Endpoints(msgspec.Struct, frozen=True):
    """The URLs of the HTTP services; "" for one that nobody named, whoever only reads needs no command service."""

    command: str = ""
    query: str = ""


def find(command: str | None, query: str | None, state: Path | str | None) -> Endpoints:
    """The URLs as they are given, else those of the stack in a state folder. Raises `NoStack`.

    With none of them: NENRIN_COMMAND and NENRIN_QUERY, else the folder NENRIN_STATE, else `.nenrin`.
    """
    if command is None and query is None and state is None:
        command, query = os.environ.get("NENRIN_COMMAND"), os.environ.get("NENRIN_QUERY")
        state = os.environ.get("NENRIN_STATE") or STATE
    if command or query or state is None:
        return Endpoints(_url("command", command), _url("query", query))
    return _in_folder(Path(state))


def _url(service: str, given: str | None) -> str:
    if given and not given.lower().startswith(("http://", "https://")):
        raise NoStack(f"{given!r} is no URL of a {service} service: give one as http://{given}")
    return (given or "").rstrip("/")


def _in_folder(folder: Path) -> Endpoints:
    file = folder / "endpoints.json"
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Endpoints)
    except FileNotFoundError:
        raise NoStack(f"no running stack in {folder}: start one with `nenrin up --state {folder}`") from None
    except (msgspec.DecodeError, UnicodeDecodeError, OSError) as error:
        raise NoStack(f"{file} cannot be read ({error}): is {folder} the state folder of a stack?") from error
    if is_abandoned(folder):
        raise NoStack(explanation(folder))
    if not (found.command and found.query):
        raise NoStack(f"the stack in {folder} runs without Nenrin's services: start it with `nenrin up`")
    return found
