"""The options that many commands share."""

from pathlib import Path
from typing import Annotated

import typer

from nenrin.cli.completing import collections

State = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="DIR",
        show_default=False,
        help="State folder of the stack; else NENRIN_STATE, else .nenrin.",
    ),
]
Collection = Annotated[
    str, typer.Option("--collection", "-c", metavar="C", help="Collection of documents.", autocompletion=collections)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
