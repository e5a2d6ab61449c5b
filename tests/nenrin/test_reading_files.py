"""What is in a file: documents with titles, and a reason, with its line, for what cannot be one."""

from pathlib import Path
from typing import Any

import pytest

from nenrin.cli.corpus.finding import Source
from nenrin.cli.corpus.formats import Format
from nenrin.cli.corpus.items import Item, LeftOut, Taken
from nenrin.cli.corpus.lines import LINE_BYTES
from nenrin.cli.corpus.prose import title_of
from nenrin.cli.corpus.reading import read
from nenrin.cli.corpus.records import Columns
from nenrin.client.documents import Draft


def items(tmp_path: Path, content: bytes | str, format: Format, columns: Columns = Columns()) -> list[Item]:  # noqa: B008
    """What a file with this content holds."""
    file = tmp_path / "file"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read(Source(file, "file", format), columns))


def drafts(found: list[Item]) -> list[Draft]:
    """The documents; nothing may be left out."""
    assert [str(item) for item in found if isinstance(item, LeftOut)] == []
    return [item.draft for item in found if isinstance(item, Taken)]


def reasons(found: list[Item]) -> list[str]:
    """What was left out, with places."""
    return [str(item) for item in found if isinstance(item, LeftOut)]


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
def test_the_title_of_a_text_is_its_first_heading(text: str, title: str) -> None:
    """In Markdown, or underlined as reStructuredText has it."""
    assert title_of(text) == title


def test_a_text_stays_as_it_is(tmp_path: Path) -> None:
    """Line ends and all; only a byte order mark is no part of it."""
    (found,) = drafts(items(tmp_path, b"\xef\xbb\xbf# One\r\n\r\ntext\r\n", Format.TEXT))
    assert found == Draft("file", "# One\r\n\r\ntext\r\n", "One", None, (tmp_path / "file").as_uri())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"caf\xe9", "file: text: not UTF-8: byte 3"),
        (b"a\0b", "file: text: U+0000 at 1"),
        (b"x" * 1_000_001, "file: text: at most 1,000,000 bytes; split the document"),
    ],
)
def test_a_file_that_cannot_be_a_document_says_why(tmp_path: Path, content: bytes, reason: str) -> None:
    """In the words that the service would have used."""
    assert reasons(items(tmp_path, content, Format.TEXT)) == [reason]


def test_a_file_that_has_gone_says_so(tmp_path: Path) -> None:
    """Between finding and reading it may have been deleted."""
    assert reasons(list(read(Source(tmp_path / "x", "x")))) == ["x: No such file or directory"]


PAGE = """<!doctype html><html><head><title> Tree
 rings</title><style>p {}</style><script>alert(1)</script></head><body>
<nav><a href="/">Home</a></nav>
<h1>Rings</h1><p>One <b>bo</b>ld\nline.</p><p>Two: a &lt; b</p><ul><li>first<li>second</ul>
<pre><code class="py">def <span>f</span>():\n    return 1\n</code></pre>
<p style="display: none">hidden</p></body></html>"""


def test_html_becomes_readable_text(tmp_path: Path) -> None:
    """Paragraphs stay apart and words together; scripts, styles, navigation and what is hidden stay out."""
    (found,) = drafts(items(tmp_path, PAGE, Format.HTML))
    assert found.title == "Tree rings"
    lines = [line.strip() for line in found.text.splitlines()]
    assert [line for line in lines if line] == [
        *("Rings", "One bold line.", "Two: a < b", "* first", "* second", "def f():", "return 1"),
    ]
    assert lines[lines.index("One bold line.") + 1] == "", "paragraphs are paragraphs still"
    assert "def f():\n    return 1" in found.text, "code keeps its lines and its indentation"


@pytest.mark.parametrize(
    ("page", "title", "text"),
    [
        ("<h1>A <i>b</i></h1>", "A b", "A b"),
        ("<p>only</p>", "file", "only"),
        ("", "file", ""),
        ("<!-- nothing -->", "file", ""),
        ("<header>Site</header><main><h1>T</h1>m</main><footer>f</footer>", "T", "T\n\nm"),
        ("<p>" + "<div>" * 300 + "deep", "file", "deep"),
    ],
)
def test_pages_without_much(tmp_path: Path, page: str, title: str, text: str) -> None:
    """Without a title the first heading, without that the name; what a page calls its main part is all of it."""
    (found,) = drafts(items(tmp_path, page, Format.HTML))
    assert (found.title, found.text.strip()) == (title, text)


def test_html_is_read_in_the_encoding_that_it_declares(tmp_path: Path) -> None:
    """UTF-8 needs no declaration; another encoding without one is not guessed."""
    assert drafts(items(tmp_path, "<p>年輪</p>", Format.HTML))[0].text.strip() == "年輪"
    japanese = '<meta charset="shift_jis"><p>年輪</p>'.encode("shift_jis")
    assert drafts(items(tmp_path, japanese, Format.HTML))[0].text.strip() == "年輪"
    (reason,) = reasons(items(tmp_path, "<p>é</p>".encode("latin-1"), Format.HTML))
    assert "declares no charset" in reason


def test_html_nested_beyond_reason_is_left_out(tmp_path: Path) -> None:
    """It costs one file, not the run."""
    assert reasons(items(tmp_path, "<div>" * 50_000, Format.HTML)) == ["file: text: its elements are nested too deeply"]


def test_a_line_of_jsonl_is_a_document(tmp_path: Path) -> None:
    """`document_id` or `id`, a number too; what is none of a document's members is metadata."""
    content = (
        '{"document_id": "a", "text": "A", "title": "T", "metadata": {"year": 2020}, "source_uri": "u"}\n'
        '\n{"id": 7, "text": "", "lang": "en", "tags": ["x"], "title": null}\r\n'
        '{"id": "last", "text": "no line end"}'
    )
    assert drafts(items(tmp_path, content, Format.JSONL)) == [
        Draft("a", "A", "T", {"year": 2020}, "u"),
        Draft("7", "", None, {"lang": "en", "tags": ["x"]}),
        Draft("last", "no line end"),
    ]


BAD_LINES: list[tuple[bytes, str]] = [
    (b"{", "not JSON: Expecting property name enclosed in double quotes at character 1"),
    (b"[1]", "a line holds one JSON object, not list"),
    (b'{"text": "x"}', "document_id: is missing"),
    (b'{"id": true, "text": "x"}', "id: is not text, but bool"),
    (b'{"id": "a"}', "text: is missing"),
    (b'{"id": "a", "text": 5}', "text: is not text, but int"),
    (b'{"id": "a", "text": "\xe9"}', "not UTF-8: byte 21 of the line"),
    (b'{"id": "a", "text": "x", "n": NaN}', "not JSON: NaN is no JSON"),
    (b'{"id": "a", "text": "x", "metadata": []}', "metadata: is not a JSON object"),
    (b'{"id": "a", "text": "x", "nested": {"a": 1}}', "metadata.nested: nested; values are scalars, null or arrays"),
    (b'{"id": "a", "text": "\\ud800"}', "text: lone surrogate U+D800 at 0"),
    (b'{"id": "a", "text": "' + b"x" * LINE_BYTES + b'"}', "a line has at most 4,194,304 bytes"),
]


def test_a_bad_line_costs_only_itself(tmp_path: Path) -> None:
    """Each is named with its line, and the good ones between them are taken."""
    good = b'{"id": "good", "text": ""}'
    found = items(tmp_path, b"\n".join(line for bad, _ in BAD_LINES for line in (bad, good)), Format.JSONL)
    assert [item.line for item in found if isinstance(item, Taken)] == [2 * n + 2 for n in range(len(BAD_LINES))]
    for number, (reason, (_, wanted)) in enumerate(zip(reasons(found), BAD_LINES, strict=True)):
        assert reason.startswith(f"file:{2 * number + 1}: {wanted}")


def test_a_row_of_csv_is_a_document(tmp_path: Path) -> None:
    """Columns by their names, quotes and line ends in cells; empty cells are absent, all other columns metadata."""
    content = 'id,text,year,title,lang\na,"two\nlines, ""quoted""",2020,,en\nb,,,T,\n\nc,x,1e3,,\n'
    columns = Columns(numbers=("year",))
    assert drafts(items(tmp_path, content, Format.CSV, columns)) == [
        Draft("a", 'two\nlines, "quoted"', None, {"lang": "en", "year": 2020}),
        Draft("b", "", "T"),
        Draft("c", "x", None, {"year": 1000.0}),
    ]


def test_columns_have_the_names_that_one_gives_them(tmp_path: Path) -> None:
    """In tables and in JSONL."""
    columns = Columns("key", "body", "head")
    wanted = [Draft("k", "words", "h", {"text": "t"})]
    assert drafts(items(tmp_path, "key\tbody\thead\ttext\nk\twords\th\tt\n", Format.TSV, columns)) == wanted
    line = '{"key": "k", "body": "words", "head": "h", "text": "t"}'
    assert drafts(items(tmp_path, line, Format.JSONL, columns)) == wanted


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("a,text\n1,x\n", "file: no column document_id or id: name one with --id-column; there are: a, text"),
        ("id,body\n1,x\n", "file: no column text: name one with --text-column; there are: id, body"),
        ("id,text,text\n", "file: a column is named twice; there are: id, text, text"),
        ("", "file: no column document_id or id: name one with --id-column; there are: none"),
    ],
)
def test_a_table_without_the_columns_says_which_there_are(tmp_path: Path, content: str, reason: str) -> None:
    """And which option names another."""
    assert reasons(items(tmp_path, content, Format.CSV)) == [reason]


def test_a_bad_row_costs_only_itself(tmp_path: Path) -> None:
    """With the line on which it begins."""
    content = b'id,text,n\na,"x\ny",1\nb,\xff,1\nc,too,many,cells\n,x,1\nd,x,many\ne,x,1\n'
    found = items(tmp_path, content, Format.CSV, Columns(numbers=("n",)))
    assert [item.draft.document_id for item in found if isinstance(item, Taken)] == ["a", "e"]
    assert reasons(found) == [
        "file:4: text: not UTF-8: at character 0",
        "file:5: 4 values where the first line names 3",
        "file:6: document_id: is missing",
        "file:7: n: not a number: 'many'",
    ]


def test_a_quote_that_is_never_closed_ends_the_table_there(tmp_path: Path) -> None:
    """What follows can't be told apart, which is said."""
    found = items(tmp_path, 'id,text\na,x\nb,"open\nc,x\n', Format.CSV)
    assert [item.draft.document_id for item in found if isinstance(item, Taken)] == ["a"]
    (reason,) = reasons(found)
    assert reason.startswith("file:3: not CSV")
    assert reason.endswith("what follows was not read")


def test_a_missing_package_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, for whoever installed only the client."""
    import sys  # noqa: PLC0415

    broken: dict[str, Any] = dict.fromkeys(("nenrin.cli.corpus.pages", "inscriptis"))
    for name in broken:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "inscriptis", None)
    (reason,) = reasons(items(tmp_path, PAGE, Format.HTML))
    assert reason.endswith("install nenrin[files]")
    assert items(tmp_path, "text needs none", Format.TEXT)
