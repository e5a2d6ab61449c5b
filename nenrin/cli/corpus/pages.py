"""HTML: the text that a reader of the page would read, laid out by inscriptis, and its title."""

from pathlib import PurePath
from typing import Any

from inscriptis import Inscriptis
from inscriptis.css_profiles import STRICT_CSS_PROFILE
from inscriptis.html_properties import Display
from inscriptis.model.config import ParserConfig
from inscriptis.model.html_element import HtmlElement
from lxml import etree, html

from nenrin.client.documents import Draft
from schemas.documents import TITLE_CHARACTERS
from schemas.errors import InvalidInput

NOT_READ = ("nav", "noscript", "template", "svg", "math", "iframe", "button", "select", "textarea", "dialog")
"""Beside scripts and styles, which inscriptis leaves out by itself: what leads elsewhere, or is for the hand."""

WITHIN_A_LINE = ("a", "b", "code", "em", "i", "kbd", "mark", "samp", "span", "strong", "tt", "var")
"""These leave spaces and line ends as what is around them has it; inscriptis would fold them in `<pre><code>`."""

_LAYOUT = ParserConfig(
    css=STRICT_CSS_PROFILE
    | {tag: HtmlElement(display=Display.none) for tag in NOT_READ}
    | {tag: HtmlElement(whitespace=None) for tag in WITHIN_A_LINE}
)


def draft(raw: bytes, document_id: str, source_uri: str | None) -> Draft:
    """The document in a page. Raises `InvalidInput` when its encoding is not told, or it can't be laid out."""
    tree = _parsed(raw)
    try:
        text = "" if tree is None else Inscriptis(_main(tree), _LAYOUT).get_text().strip("\n")
    except RecursionError as error:
        raise InvalidInput("text", "its elements are nested too deeply") from error
    title = "" if tree is None else _title(tree)
    return Draft(document_id, text, title or PurePath(document_id).stem, source_uri=source_uri)


def _parsed(raw: bytes) -> Any:
    """The tree of a page; None for one with nothing in it."""
    try:
        return html.document_fromstring(raw, parser=html.HTMLParser(encoding=_encoding(raw), huge_tree=True))
    except etree.ParserError:
        return None
    except (etree.LxmlError, LookupError, UnicodeDecodeError) as error:
        raise InvalidInput("text", f"not HTML: {error}") from error


def _encoding(raw: bytes) -> str | None:
    """UTF-8 where it is that; otherwise None, for the parser to take what the page declares."""
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        if b"charset" not in raw[:1024].lower() and b"encoding=" not in raw[:128]:
            raise InvalidInput("text", f"not UTF-8 (byte {error.start}), and it declares no charset") from error
        return None
    return "utf-8"


def _main(tree: Any) -> Any:
    """The part that the page calls its main one, where it has exactly one; otherwise the whole page."""
    mains = tree.xpath("//main | //*[@role='main']")
    return mains[0] if len(mains) == 1 else tree


def _title(tree: Any) -> str:
    """What the page calls itself, or its first heading."""
    for path in ("//head/title", "//title[not(ancestor::svg)]", "//h1"):
        for element in tree.xpath(path):
            if words := " ".join(element.text_content().split()):
                return words[:TITLE_CHARACTERS]
    return ""
