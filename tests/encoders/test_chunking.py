"""Where texts are cut: nothing lost, nothing too long, whatever the script."""

import random
import re
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import fmean

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from encoders.chunking import Piece, passages, sentences
from schemas.encoders import MINILM, Encoder

SMALL = replace(MINILM, window=22, passage=20, overlap=6, characters=80)


@dataclass
class Tokens:
    """What a tokenizer would say: words and signs, words in parts of four letters, control characters dropped."""

    ids: list[int]
    offsets: list[tuple[int, int]]
    word_ids: list[int | None]


def tokenise(text: str) -> Tokens:
    words = [match.span() for match in re.finditer(r"\w+|[^\w\s\x00-\x1f\u200b]", text)]
    parts = [
        (number, (at, min(at + 4, end))) for number, (start, end) in enumerate(words) for at in range(start, end, 4)
    ]
    offsets = [offset for _, offset in parts]
    return Tokens([start for start, _ in offsets], offsets, [number for number, _ in parts])


def chunk(text: str, encoder: Encoder = SMALL) -> list[Piece]:
    spans = sentences(text, encoder.characters)
    return passages(text, spans, [tokenise(text[start:end]) for start, end in spans], encoder)


def slices(text: str, encoder: Encoder = SMALL) -> list[str]:
    return [text[piece.start : piece.end] for piece in chunk(text, encoder)]


def sentence_texts(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text, 1000)]


_INGREDIENTS = (
    *("word", "a", "Sentence", "longish" * 4, "-" * 30, "3.14", "漢字", "e\u0301", "🎄", "שלום", "𝒳", "\u200b", "\x01"),
    *(".", ". ", "! ", "?", "。", '."', " ", "  ", "\n", "\n\n", "\r\n", "\t", "\u2029"),
)
prose = st.lists(st.sampled_from(_INGREDIENTS), max_size=120).map("".join)


@given(st.one_of(prose, st.text(max_size=400)))
@settings(max_examples=400, deadline=None)
def test_every_character_that_is_not_space_is_in_a_passage(text: str) -> None:
    """Passages cover the text but for the space between them, in order, numbered from 0."""
    covered = [False] * len(text)
    pieces = chunk(text)
    for piece in pieces:
        assert 0 <= piece.start < piece.end <= len(text)
        covered[piece.start : piece.end] = [True] * (piece.end - piece.start)
    assert all(seen or character.isspace() for seen, character in zip(covered, text, strict=True))
    assert [piece.ordinal for piece in pieces] == list(range(len(pieces)))
    assert all(one.start < two.start and one.end < two.end for one, two in pairwise(pieces))


@given(st.one_of(prose, st.text(max_size=400)))
@settings(max_examples=400, deadline=None)
def test_a_passage_fits_the_window_and_a_number_of_characters(text: str) -> None:
    """However a text is written, no passage has more tokens or characters than its encoder allows."""
    for piece in chunk(text):
        passage = text[piece.start : piece.end]
        assert len(piece.tokens) <= SMALL.passage
        assert len(passage) <= SMALL.characters
        assert passage == passage.strip()


@given(prose)
@settings(max_examples=400, deadline=None)
def test_a_passage_carries_the_tokens_of_its_own_text(text: str) -> None:
    """Tokens from one pass over the sentences are those of the passage alone, unless a word had to be torn."""
    assume(all(len(word) <= SMALL.overlap * 4 for word in text.split()))
    for piece in chunk(text):
        assert len(piece.tokens) == len(tokenise(text[piece.start : piece.end]).ids)


@given(prose)
@settings(max_examples=100, deadline=None)
def test_the_same_text_is_always_cut_the_same_way(text: str) -> None:
    """A replay finds the passages it found before."""
    assert slices(text) == slices(text)


@pytest.mark.parametrize("text", ["", " ", "\n\n \t\u3000\u2029\r\n", "\x1c\x1d"])
def test_text_of_nothing_but_space_has_no_passages(text: str) -> None:
    """An empty document is a document without passages."""
    assert chunk(text) == []


def test_characters_without_tokens_still_make_a_passage() -> None:
    """A text of control and zero-width characters is not empty, though the model sees nothing of it."""
    [piece] = chunk("\x01\u200b")
    assert (piece.start, piece.end, len(piece.tokens)) == (0, 2, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The tree was felled. Its rings were counted! Were they many?", 3),
        ("It measured 3.14 metres, i.e. more than most others did.", 1),
        ('"Was it that old?" she asked the man. He nodded slowly.', 2),
        ("年輪は木の一年ごとの成長を示すものである。気候の記録として使われることもある。", 2),
        ("A heading that has no stop\n\nthe paragraph below it", 2),
        ("A line that was wrapped at\nseventy columns goes on here.", 1),
        ("First item of a list\nSecond item of a list", 2),
        ("पेड़ के छल्ले गिने जाते हैं। वे पेड़ की आयु बताते हैं।", 2),
    ],
)
def test_sentences_end_where_a_reader_would_say_so(text: str, expected: int) -> None:
    """Stops of many scripts, blank lines and list items end a sentence; abbreviations and wrapped lines don't."""
    assert len(sentence_texts(text)) == expected


def test_passages_are_whole_sentences_and_overlap_by_one() -> None:
    """A short last sentence is repeated at the start of the next passage; a passage never begins inside a sentence."""
    text = " ".join(f"Sentence number {number} is here." for number in range(6))
    assert slices(text, replace(SMALL, overlap=10, characters=400)) == [
        "Sentence number 0 is here. Sentence number 1 is here.",
        "Sentence number 1 is here. Sentence number 2 is here.",
        "Sentence number 2 is here. Sentence number 3 is here.",
        "Sentence number 3 is here. Sentence number 4 is here.",
        "Sentence number 4 is here. Sentence number 5 is here.",
    ]


def test_a_sentence_too_long_for_a_passage_is_cut_between_words() -> None:
    """No word is torn where a space could be cut at, and the pieces overlap."""
    text = " ".join(f"word{number:02}" for number in range(60))
    found = slices(text, replace(SMALL, characters=200))
    assert len(found) > 1
    assert all(re.fullmatch(r"word\d\d( word\d\d)*", passage) for passage in found)
    assert all(two.split()[0] in one for one, two in pairwise(found))


@pytest.mark.parametrize(
    "unit",
    [
        "x",
        "!",
        "! ",
        "\n",
        " ",
        "a ",
        "a. ",
        '."',
        "漢",
        "漢字。",
        "\u200b\n",
        "\x01",
        "e\u0301",
        "🎄",
        "\u3000a",
        "word\r\n",
        "a\n\n",
        "# a heading\n\n",
        "A line of its own, with no stop\n",
    ],
)
def test_a_long_line_of_anything_is_cut_in_linear_time(unit: str) -> None:
    """Reading the rest again for every character would take minutes; a second is enough."""
    text = unit * (200_000 // len(unit))
    tokens = [tokenise(text[start:end]) for start, end in sentences(text, MINILM.characters)]
    began = time.process_time()
    pieces = passages(text, sentences(text, MINILM.characters), tokens, MINILM)
    assert time.process_time() - began < 5
    assert all(piece.end - piece.start <= MINILM.characters for piece in pieces)


def paragraph(chance: random.Random, most: int) -> str:
    """Up to so many sentences of five to twelve words."""
    words = ("oak", "ring", "tree", "year", "rain", "wood", "wide", "narrow", "forest", "climate", "drought")
    sentences = (" ".join(chance.choices(words, k=chance.randint(5, 12))) for _ in range(chance.randint(1, most)))
    return " ".join(f"{sentence.capitalize()}." for sentence in sentences)


def touched_beside(before: list[str], after: list[str], at: int) -> int:
    """How many passages are new, though nothing of paragraph `at`, the one that differs, is in them."""
    old = set(slices("\n\n".join(before), MINILM))
    text = "\n\n".join(after)
    start = len("\n\n".join([*after[:at], ""]))
    end = start + (len(after[at]) if len(after) >= len(before) else 0)
    return sum(
        text[piece.start : piece.end] not in old and (piece.end <= start or piece.start >= end)
        for piece in chunk(text, MINILM)
    )


@pytest.mark.parametrize("most", [1, 4, 12])
def test_a_changed_paragraph_leaves_all_but_its_neighbours_as_they_were(most: int) -> None:
    """Changed, inserted or removed: passages without a word of it keep their text, all but four, and mostly all."""
    chance = random.Random(most)
    touched = []
    for _ in range(60):
        before = [paragraph(chance, most) for _ in range(chance.randint(5, 40))]
        at = chance.randrange(len(before))
        new = paragraph(chance, most)
        for after in (
            [*before[:at], new, *before[at + 1 :]],
            [*before[:at], new, *before[at:]],
            before[:at] + before[at + 1 :],
        ):
            touched.append(touched_beside(before, after, at))
    assert max(touched) <= 4
    assert fmean(touched) < 0.75


def test_paragraphs_are_kept_together_while_they_fit() -> None:
    """Short ones share a passage, so that there are few of them: on average more than half full."""
    chance = random.Random(1)
    text = "\n\n".join(paragraph(chance, 4) for _ in range(400))
    assert fmean(len(piece.tokens) for piece in chunk(text, MINILM)) > MINILM.passage / 2


def test_a_text_of_one_paragraph_is_filled_from_its_beginning() -> None:
    """Without a line break there is no seam: every passage but the last is as full as its sentences allow."""
    text = " ".join(paragraph(random.Random(number), 4) for number in range(40))
    sizes = [len(piece.tokens) for piece in chunk(text, MINILM)]
    assert min(sizes[:-1]) > MINILM.passage - 40


def test_a_section_begins_a_passage() -> None:
    """The seam before a heading is better than any other in reach, so a heading stands above what it is about."""
    chance = random.Random(3)
    paragraphs = ("\n\n".join(paragraph(chance, 9) for _ in range(4)) for _ in range(12))
    sections = [f"# Section {number}\n\n{text}" for number, text in enumerate(paragraphs)]
    found = slices("\n\n".join(sections), MINILM)
    assert sum("# Section" in passage for passage in found) == 12
    assert sum(passage.startswith("# Section") for passage in found) == 12
