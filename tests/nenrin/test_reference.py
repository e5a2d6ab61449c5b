"""The reference of the command line is what the commands say."""

from pathlib import Path

from nenrin.cli.reference import page

PAGE = Path(__file__).parents[2] / "docs/reference/command-line.md"


def test_the_page_is_what_the_commands_say() -> None:
    """Made from them; after a change, make it anew."""
    assert PAGE.read_text() == page(), "run: python -m nenrin.cli.reference > docs/reference/command-line.md"
