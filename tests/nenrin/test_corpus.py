"""Documents from files: ids that stay the same, and titles."""

from pathlib import Path

import pytest

from nenrin.cli.corpus import read, sources, title_of
from schemas.errors import InvalidInput


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A folder of files."""
    for name in ("notes/b.md", "notes/deep/a.TXT", "notes/.git/hidden.md", "notes/picture.png", "other/b.md"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("# A title\n\ntext")
    return tmp_path


def test_ids_are_paths_below_the_current_folder(notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file has the same id whether it or its folder is named; hidden files and others are passed over."""
    monkeypatch.chdir(notes)
    assert [found.document_id for found in sources([Path("notes")], notes)] == ["notes/b.md", "notes/deep/a.TXT"]
    assert [found.document_id for found in sources([Path("notes/b.md")], notes)] == ["notes/b.md"]
    assert [found.document_id for found in sources([notes / "notes" / "b.md"], notes)] == ["notes/b.md"]


def test_a_folder_elsewhere_gives_its_name_and_the_path_within(notes: Path) -> None:
    """No id depends on where on a disk a folder lies."""
    assert [found.document_id for found in sources([notes / "notes"], Path("/nowhere"))] == [
        "notes/b.md",
        "notes/deep/a.TXT",
    ]


def test_two_files_with_one_id_are_refused(notes: Path) -> None:
    """The second would silently replace the first."""
    with pytest.raises(InvalidInput, match=r"b\.md"):
        sources([notes / "notes/b.md", notes / "other/b.md"], Path("/nowhere"))


def test_a_file_named_twice_is_one_document(notes: Path) -> None:
    """By itself, and by its folder."""
    assert len(sources([notes / "notes", notes / "notes"], notes)) == 2


def test_a_file_that_is_not_utf8_says_where(tmp_path: Path) -> None:
    """So that its encoding can be mended."""
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    (source,) = sources([tmp_path], tmp_path)
    with pytest.raises(InvalidInput, match="byte 3"):
        read(source)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("# One\n\ntext", "One"),
        ("\n\nTwo\n***\n\ntext", "Two"),
        ('The "while" statement\n*********************\n', 'The "while" statement'),
        ("no heading\n\n\nat all", ""),
        ("---\nkey: value\n---\n# Three #\n", "Three"),
        ("", ""),
    ],
)
def test_the_title_is_the_first_heading(text: str, title: str) -> None:
    """In Markdown, or underlined as reStructuredText has it."""
    assert title_of(text) == title
