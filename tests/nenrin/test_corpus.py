"""Which files are meant: ids that stay the same, ignore rules as git has them, and nothing lost in silence."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from nenrin.cli.corpus.finding import Found, Source, Wanted, find
from nenrin.cli.corpus.formats import Format
from nenrin.cli.corpus.ignoring import spec
from nenrin.cli.watching import Watched
from schemas.errors import InvalidInput


def write(root: Path, files: dict[str, str] | Sequence[str]) -> None:
    """Files with these texts, or with a title."""
    for name in files:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(files[name] if isinstance(files, dict) else "# A title\n\ntext")


def ids(paths: Sequence[Path], here: Path, wanted: Wanted = Wanted()) -> list[str]:  # noqa: B008  (frozen)
    """The ids of the files that are meant."""
    return list(find(paths, here, wanted).sources)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A folder of files."""
    write(tmp_path, ["notes/b.md", "notes/deep/a.TXT", "notes/.git/hidden.md", "notes/picture.png", "other/b.md"])
    return tmp_path


def test_ids_are_paths_below_the_current_folder(notes: Path) -> None:
    """A file has the same id whether it or its folder is named; hidden files and others are passed over."""
    assert ids([Path("notes")], notes) == ["notes/b.md", "notes/deep/a.TXT"]
    assert ids([Path("notes/b.md")], notes) == ["notes/b.md"]
    assert ids([notes / "notes" / "b.md"], notes) == ["notes/b.md"]
    assert ids([Path("notes/../notes/b.md")], notes) == ["notes/b.md"]


def test_a_folder_elsewhere_gives_its_name_and_the_path_within(notes: Path) -> None:
    """No id depends on where on a disk a folder lies, or on how one gets there."""
    wanted = ["notes/b.md", "notes/deep/a.TXT"]
    assert ids([notes / "notes"], Path("/nowhere")) == wanted
    assert ids([Path("../notes")], notes / "other") == wanted


def test_two_files_with_one_id_are_refused(notes: Path) -> None:
    """The second would silently replace the first."""
    with pytest.raises(InvalidInput, match=r"b\.md"):
        find([notes / "notes/b.md", notes / "other/b.md"], Path("/nowhere"), Wanted())


def test_a_file_named_twice_is_one_document(notes: Path) -> None:
    """By itself, and by its folder."""
    assert len(ids([notes / "notes", notes / "notes"], notes)) == 2


def test_files_of_other_kinds_are_counted(notes: Path) -> None:
    """So that nobody wonders where they went."""
    assert find([Path("notes")], notes, Wanted()).others == {".png": 1}


def test_a_file_that_is_named_is_taken_whatever_it_is_called(tmp_path: Path) -> None:
    """Hidden, ignored or of an unknown kind: who names it means it."""
    write(tmp_path, {".gitignore": "*", "log": "", ".hidden.md": ""})
    assert ids([Path("log"), Path(".hidden.md")], tmp_path) == ["log", ".hidden.md"]


def test_ignore_files_count_where_they_lie_and_below(tmp_path: Path) -> None:
    """A deeper rule wins, `.nenrinignore` over `.gitignore`, and a folder that is passed over is not looked into."""
    write(
        tmp_path,
        {
            "a/.gitignore": "*.txt\n/build/\n# a comment\n",
            "a/one.txt": "",
            "a/one.md": "",
            "a/build/x.md": "",
            "a/deep/build/y.md": "",
            "a/deep/.gitignore": "!keep.txt",
            "a/deep/keep.txt": "",
            "a/deep/other.txt": "",
            "a/both/.gitignore": "z.md",
            "a/both/.nenrinignore": "!z.md",
            "a/both/z.md": "",
        },
    )
    assert ids([Path("a")], tmp_path) == ["a/both/z.md", "a/deep/build/y.md", "a/deep/keep.txt", "a/one.md"]


def test_the_rules_of_the_repository_around_count_too(tmp_path: Path) -> None:
    """As git has it; but a folder that is passed over by them is meant by whoever names it."""
    write(tmp_path, {".gitignore": "drafts/\nbuild/", "docs/drafts/a.md": "", "docs/b.md": "", "build/c.md": ""})
    assert ids([Path("docs")], tmp_path) == ["docs/b.md", "docs/drafts/a.md"], "outside of a repository they do not"
    (tmp_path / ".git").mkdir()
    assert ids([Path("docs")], tmp_path) == ["docs/b.md"]
    assert ids([Path("build")], tmp_path) == ["build/c.md"]


def test_patterns_on_the_command_line(tmp_path: Path) -> None:
    """`--glob` takes files of any kind and no others; `--ignore` wins over everything."""
    write(tmp_path, ["a/x.md", "a/y.log", "a/deep/z.log", "a/.hidden.log"])
    logs = Wanted(spec(["*.log"], "--glob"))
    assert ids([Path("a")], tmp_path, logs) == ["a/deep/z.log", "a/y.log"]
    assert ids([Path("a")], tmp_path, Wanted(spec(["*.log"], "--glob"), spec(["deep/"], "--ignore"))) == ["a/y.log"]
    assert ids([Path("a")], tmp_path, Wanted(ignore=spec(["*.md"], "--ignore"))) == []


def test_names_tell_the_form_and_format_overrules_them(tmp_path: Path) -> None:
    """`--format` reads every file that is meant as what it says."""
    write(tmp_path, ["a/x.html", "a/y.NDJSON", "a/z.csv", "a/t.tsv", "a/m.md"])
    found = find([Path("a")], tmp_path, Wanted()).sources.values()
    assert [source.format for source in found] == ["text", "tsv", "html", "jsonl", "csv"]
    found = find([Path("a/x.html")], tmp_path, Wanted(format=Format.TEXT)).sources.values()
    assert [source.format for source in found] == ["text"]


def test_links_lead_to_files_and_into_no_loop(tmp_path: Path) -> None:
    """One to a file is a file; one to a folder is not followed; one to nowhere is taken, so that reading names it."""
    write(tmp_path, ["a/x.md"])
    (tmp_path / "a/up").symlink_to("..")
    (tmp_path / "a/self.md").symlink_to("self.md")
    (tmp_path / "a/alias.md").symlink_to("x.md")
    (tmp_path / "a/nowhere.md").symlink_to("gone.md")
    assert ids([Path("a")], tmp_path) == ["a/alias.md", "a/nowhere.md", "a/self.md", "a/x.md"]


def test_a_folder_that_cannot_be_read_is_left_out_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others go on. (Here it vanishes while its neighbours are listed: root may read everything.)"""
    write(tmp_path, ["a/b/x.md", "a/c/y.md"])
    add = Found.add

    def meanwhile(found: Found, source: Source) -> None:
        shutil.rmtree(tmp_path / "a/c")
        add(found, source)

    monkeypatch.setattr(Found, "add", meanwhile)
    found = find([Path("a")], tmp_path, Wanted())
    assert list(found.sources) == ["a/b/x.md"]
    assert [(each.path, each.error) for each in found.left_out] == [("a/c", "No such file or directory")]


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    """A typing error in a path adds nothing."""
    with pytest.raises(InvalidInput, match="missing"):
        find([Path("missing")], tmp_path, Wanted())


def test_a_change_that_hides_its_time_is_one(tmp_path: Path) -> None:
    """Of the same size, and with the old time of modification set again, as tools that copy times do."""
    file = tmp_path / "a.md"
    file.write_text("one")
    before = find([tmp_path], tmp_path, Wanted())
    about = file.stat()
    watched = Watched()
    watched.take(before.sources.values())
    file.write_text("two")
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert [source.path for source in watched.changed(find([tmp_path], tmp_path, Wanted()))] == [file]


def test_a_file_that_was_never_added_whole_keeps_no_document(tmp_path: Path) -> None:
    """It was renamed, read, and deleted before it could be added: what it gave goes with the file that had it."""
    file, renamed = tmp_path / "a.md", tmp_path / "b.md"
    file.write_text("one")
    (old,) = find([tmp_path], tmp_path, Wanted()).sources.values()
    watched = Watched()
    watched.give(old, "x")
    watched.take([old])
    file.rename(renamed)
    both = find([tmp_path], tmp_path, Wanted())
    (new,) = both.sources.values()
    watched.give(new, "x")
    assert (watched.gone(both), watched.forsaken(old, both)) == ([old], [])
    renamed.unlink()
    assert watched.forsaken(old, find([tmp_path], tmp_path, Wanted())) == ["x"]


@pytest.mark.parametrize(
    ("rules", "meant"),
    [
        ("*\n!*.md\n!*/\n", ["deep/down/keep.md", "deep/keep.md", "top.md"]),
        ("deep/**\n!keep.md\n", ["deep/keep.md", "top.md", "top.txt"]),
        ("*.md\n!deep/\n", ["deep/drop.txt", "top.txt"]),
    ],
)
def test_what_a_pattern_takes_back_is_taken(tmp_path: Path, rules: str, meant: list[str]) -> None:
    """A pattern is about what it names: one for a folder neither hides nor takes back the files in it, as in git."""
    write(tmp_path, ["top.md", "top.txt", "deep/keep.md", "deep/drop.txt", "deep/down/keep.md"])
    (tmp_path / ".gitignore").write_text(rules)
    assert ids([tmp_path], tmp_path) == meant
