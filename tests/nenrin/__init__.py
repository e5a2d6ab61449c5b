"""The client and the command line."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest


class Said(NamedTuple):
    """What a command printed."""

    out: str
    err: str


def ending_of(
    main: Callable[[Sequence[str]], None], arguments: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> tuple[object, Said]:
    """The exit status of a command, and what it printed."""
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    return exit_.value.code, Said(*capsys.readouterr())
