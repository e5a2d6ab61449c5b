"""The reference of the command line, made from the commands themselves: `python -m nenrin.cli.reference > PAGE`."""

import sys
from collections.abc import Iterator
from textwrap import fill
from typing import Any

import typer

from nenrin.cli.app import app
from nenrin.cli.endings import MEANING

HEAD = """# The command line

<!-- Made by `python -m nenrin.cli.reference`; a test holds the two together. Change the commands, not this page. -->

`nenrin --help` and `nenrin COMMAND --help` say the same on a terminal. Errors are one line on stderr;
`nenrin --debug COMMAND …` shows the traceback too.

## Where a command finds the stack

The first of these that is there: the folder in `--state`; the services' URLs in `NENRIN_COMMAND` (for `add`) and
`NENRIN_QUERY` (for all others); the folder in `NENRIN_STATE`; the folder `.nenrin`. `add` with `NENRIN_COMMAND` alone
writes unchanged documents again, since it can't see what is there. More settings are on [their page](settings.md).

## Completion

`nenrin --install-completion` teaches your shell (bash, zsh, fish or PowerShell) to complete commands, options and,
where a stack runs, the names of collections; `nenrin --show-completion` prints the script instead.
"""


def page() -> str:
    """The whole page, in Markdown."""
    root: Any = typer.main.get_command(app)
    sections = [section for name, command in root.commands.items() for section in _command(f"nenrin {name}", command)]
    return "\n".join([HEAD, _statuses(), *sections]).rstrip() + "\n"


def _statuses() -> str:
    rows = "\n".join(f"| {status.value} | {meaning} |" for status, meaning in MEANING.items())
    return f"## Exit statuses\n\n| status | meaning |\n|---|---|\n{rows}\n"


def _command(name: str, command: Any) -> Iterator[str]:
    """A command, or the commands of a group."""
    if hasattr(command, "commands"):
        for below, each in command.commands.items():
            yield from _command(f"{name} {below}", each)
        return
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [
        parameter
        for parameter in command.params
        if parameter.param_type_name == "option" and not parameter.hidden and "--help" not in parameter.opts
    ]
    usage = " ".join([name, *(["[OPTIONS]"] if options else []), *(_metavar(each) for each in arguments)])
    yield f"## {name}\n"
    yield f"```console\n$ {command.epilog.removeprefix('Example: ')}\n```\n"
    yield f"    {usage}\n"
    yield f"{_text(command.help)}\n"
    if arguments or options:
        yield "| argument or option | meaning |\n|---|---|"
        yield "\n".join(_row(each) for each in [*arguments, *options]) + "\n"


def _text(help_: str) -> str:
    return "\n\n".join(fill(paragraph, 120, break_on_hyphens=False) for paragraph in help_.split("\n\n"))


def _metavar(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return f"{name}…" if argument.nargs == -1 and " " not in name else str(name)


def _row(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"| `{_metavar(parameter)}` | {_cell(parameter.help)} |"
    names = ", ".join(f"`{name}`" for name in sorted(parameter.opts, key=lambda name: (-len(name), name)))
    return f"| {names}{_value(parameter)} | {_cell(parameter.help)}{_default(parameter)} |"


def _value(option: Any) -> str:
    if option.is_flag:
        return ""
    return f" `{option.metavar}`"


def _default(option: Any) -> str:
    if isinstance(option.show_default, str):
        return f" Default: {option.show_default}."
    if option.is_flag or not option.show_default or option.default in {None, ""}:
        return ""
    return f" Default: `{getattr(option.default, 'value', option.default)}`."


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.stdout.write(page())
