"""Searching passages: never too few, never a document twice, and exact wherever the contract says exact."""

import json
import math
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import accumulate
from statistics import fmean
from typing import Any

import asyncpg
import numpy as np
import pytest

from projections.control.install import Wanted, install
from projections.generations.lifecycle import Build
from projections.passages import Passages, lexical, read
from projections.passages.dense import FEW
from projections.passages.filters import path_of
from projections.port import Change, Entry
from projections.reading import SESSION, Answer, Question, Reader
from projections.writer import Writer
from schemas.documents import key_of
from schemas.embedded import Embedded, Passage, Source
from tests.projections.logs import INCARNATION, TOPIC, place, unembedded
from tests.running import Databases

DIMENSIONS = 16
WANTED = [Wanted(Passages(), Build(TOPIC, 1, INCARNATION, "an-encoder", DIMENSIONS))]


@pytest.fixture
async def reader(postgres: Databases) -> AsyncIterator[Reader]:
    """A reader of a database in which `passages` has just been installed."""
    await install(postgres.owner, WANTED)
    async with Reader(postgres.reader).reading() as reader:
        yield reader


@pytest.fixture
async def writer(reader: Reader, postgres: Databases) -> AsyncIterator[Writer]:
    """The writer of `passages`."""
    writer = Writer(Passages(), 1, postgres.owner)
    await writer.claim(TOPIC, [0], INCARNATION, 1)
    yield writer
    await writer.release()


def document(offset: int, document_id: str, vectors: Any, text: str = "", collection: str = "c", **rest: Any) -> Entry:
    """A document with a passage for each vector, every one the whole text."""
    passages = tuple(
        Passage(number, 0, len(text), np.asarray(vector, dtype="<f2").tobytes())
        for number, vector in enumerate(vectors)
    )
    source = Source(TOPIC, 0, offset, INCARNATION, offset, offset + 1, 1_700_000_000_000)
    event = Embedded(source, collection, document_id, text, passages, **rest)
    return Entry(place(offset), Change(event), key_of(collection, document_id), b"")


def units(count: int, seed: int = 1) -> Any:
    """Random unit vectors, as float16 keeps them."""
    values = np.random.default_rng(seed).standard_normal((count, DIMENSIONS))
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype("<f2")


def cosines(vectors: Any, query: Any) -> Any:
    """What a brute-force search would score."""
    wide, asked = vectors.astype(np.float64), query.astype(np.float64)
    return wide @ asked / np.linalg.norm(wide, axis=1) / np.linalg.norm(asked)


async def ask(reader: Reader, question: Question) -> list[dict[str, Any]]:
    """The results of a search."""
    answer: Answer = await reader.read("passages", lambda _: question)
    return [json.loads(row) for row in answer.rows]


def ids(results: list[dict[str, Any]]) -> list[str]:
    """The documents found, best first."""
    return [each["document_id"] for each in results]


async def test_few_passages_are_searched_exactly(reader: Reader, writer: Writer) -> None:
    """Every document that is there comes back when `k` allows, best first, with the cosine as its score."""
    vectors = units(30)
    await writer.apply(0, [document(n, f"d{n:02}", [vectors[n]], f"text {n}") for n in range(30)])
    query = units(1, seed=7)[0]
    found = await ask(reader, read.dense("c", 100, query.tobytes()))
    expected = cosines(vectors, query)
    assert ids(found) == [f"d{n:02}" for n in np.argsort(-expected)]
    assert [each["score"] for each in found] == pytest.approx(sorted(expected, reverse=True), abs=1e-5)
    assert ids(await ask(reader, read.dense("c", 3, query.tobytes()))) == ids(found)[:3]


async def test_a_result_has_every_member(reader: Reader, writer: Writer) -> None:
    """The document's title and metadata, and its best passage's place and text."""
    near, far = np.eye(DIMENSIONS)[0], np.eye(DIMENSIONS)[1]
    await writer.apply(0, [document(0, "a", [far, near], "the text", title="T", metadata={"n": 1.0})])
    assert await ask(reader, read.dense("c", 10, near.astype("<f2").tobytes())) == [
        {
            "document_id": "a",
            "title": "T",
            "score": 1,
            "passage": {"ordinal": 1, "start": 0, "end": 8, "text": "the text"},
            "metadata": {"n": 1.0},
        }
    ]


async def test_equals_are_ordered_by_id(reader: Reader, writer: Writer) -> None:
    """The same vector in every document: code points decide, and decide who is left out."""
    vector = units(1)[0]
    names = ["b", "Z", "é", "a", "\U0001f600", "\uffee"]
    await writer.apply(0, [document(n, name, [vector], "word") for n, name in enumerate(names)])
    for question in (read.dense("c", 4, vector.tobytes()), read.lexical("c", 4, "word")):
        assert ids(await ask(reader, question)) == sorted(names)[:4]


async def test_collections_do_not_see_each_other(reader: Reader, writer: Writer) -> None:
    """One index serves all collections; a small one beside a large one is still found whole."""
    vectors = units(2000)
    entries = [document(n, f"d{n}", [vectors[n]], "word", "large") for n in range(1990)]
    entries += [document(n, f"s{n}", [vectors[n]], "word", "small") for n in range(1990, 2000)]
    await writer.apply(0, entries)
    query = units(1, seed=3)[0].tobytes()
    assert set(ids(await ask(reader, read.dense("small", 10, query)))) == {f"s{n}" for n in range(1990, 2000)}
    assert set(ids(await ask(reader, read.lexical("small", 100, "word")))) == {f"s{n}" for n in range(1990, 2000)}
    assert await ask(reader, read.dense("nowhere", 10, query)) == []


async def test_one_document_with_all_the_near_passages(reader: Reader, writer: Writer) -> None:
    """It is one result; the index scan ends short, and the exact scan finds the others."""
    near = np.eye(DIMENSIONS)[0]
    crowd = near + 0.01 * units(600)
    others = units(1000, seed=5)
    entries = [document(0, "crowd", crowd, "crowd")]
    entries += [document(n + 1, f"d{n:03}", [others[n]], "other") for n in range(1000)]
    await writer.apply(0, entries)
    found = await ask(reader, read.dense("c", 10, near.astype("<f2").tobytes()))
    expected = np.argsort(-cosines(others, near.astype("<f2")))[:9]
    assert ids(found) == ["crowd", *(f"d{n:03}" for n in expected)]


async def filled(writer: Writer) -> Any:
    """3,000 documents; `n` counts them, `even` holds for every second."""
    vectors = units(3000)
    entries = [
        document(n, f"d{n}", [vectors[n]], f"word {'even' if n % 2 == 0 else 'odd'}", metadata=metadata(n))
        for n in range(3000)
    ]
    for begin in range(0, 3000, 500):
        await writer.apply(0, entries[begin : begin + 500])
    return vectors


def metadata(n: int) -> dict[str, Any]:
    """What the filters ask for."""
    return {"n": n, "even": n % 2 == 0, "tags": [f"t{n % 300}", "all"]}


FILTERS: list[tuple[dict[str, Any], Callable[[int], bool]]] = [
    ({"n": 7}, lambda n: n == 7),
    ({"n": {"$lt": 40}}, lambda n: n < 40),
    ({"n": {"$gte": 2990}}, lambda n: n >= 2990),
    ({"tags": "t17"}, lambda n: n % 300 == 17),
    ({"n": {"$in": list(range(0, 3000, 75))}}, lambda n: n % 75 == 0),
    ({"even": True}, lambda n: n % 2 == 0),
    ({"n": {"$ne": 3}}, lambda n: n != 3),
    ({"n": -1}, lambda n: False),
]


async def test_a_filter_never_yields_too_few(reader: Reader, writer: Writer) -> None:
    """Whatever share matches, `k` come back if there are so many, in every mode, and all of them match."""
    vectors = await filled(writer)
    query = units(1, seed=11)[0]
    scores = cosines(vectors, query)
    for filter_, matching in FILTERS:
        path, there = path_of(filter_), {f"d{n}" for n in range(3000) if matching(n)}
        for question in (
            read.dense("c", 40, query.tobytes(), path),
            read.lexical("c", 40, "word", path),
            read.hybrid("c", 40, query.tobytes(), "word", path),
        ):
            found = ids(await ask(reader, question))
            assert len(found) == len(set(found)) == min(40, len(there)), filter_
            assert set(found) <= there
        if len(there) <= FEW:
            best = sorted(there, key=lambda name: -scores[int(name[1:])])[:40]
            assert ids(await ask(reader, read.dense("c", 40, query.tobytes(), path))) == best


async def test_the_index_finds_nearly_what_an_exact_scan_finds(reader: Reader, writer: Writer) -> None:
    """Recall at 10, over 50 questions; and the same when a filter lets half of all documents pass."""
    vectors = await filled(writer)
    hits = {None: 0, path_of({"even": True}): 0}
    for seed in range(50):
        query = units(1, seed=100 + seed)[0]
        order = np.argsort(-cosines(vectors, query))
        for path in hits:
            best = [n for n in order if path is None or n % 2 == 0][:10]
            found = ids(await ask(reader, read.dense("c", 10, query.tobytes(), path)))
            hits[path] += len({f"d{n}" for n in best} & set(found))
    assert all(hit >= 0.95 * 500 for hit in hits.values()), hits


def bm25(passages: dict[tuple[str, int], list[str]], asked: list[str]) -> dict[str, tuple[float, int]]:
    """The oracle: Okapi BM25 in Python, for each document its best passage's score and ordinal."""
    holding = {word: [key for key, words in passages.items() if word in words] for word in asked}
    lengths = [len(set(passages[key])) for found in holding.values() for key in found]
    best: dict[str, tuple[float, int]] = {}
    for (name, ordinal), words in sorted(passages.items()):
        score = 0.0
        for word, found in holding.items():
            weight = math.log(1 + (len(passages) - len(found) + 0.5) / (len(found) + 0.5))
            long = 0.25 + 0.75 * len(set(words)) / fmean(lengths)
            score += weight * words.count(word) * 2.2 / (words.count(word) + 1.2 * long)
        if score > best.get(name, (0.0, 0))[0]:
            best[name] = (score, ordinal)
    return best


@pytest.mark.parametrize("few", [0, 1000])
async def test_words_are_ranked_by_bm25(
    reader: Reader, writer: Writer, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """Score and order are those of an oracle, by the index and without it, after updates and removals too."""
    monkeypatch.setattr(lexical, "FEW", few)
    random, there = np.random.default_rng(4), {}
    words = [f"word{number}x" for number in range(12)]

    def written(offset: int, name: str) -> Entry:
        texts = [random.choice(words, random.integers(1, 30), p=np.arange(1, 13) / 78).tolist() for _ in range(3)]
        for ordinal in range(3):
            there[name, ordinal] = texts[ordinal]
        return pieces(offset, name, [" ".join(each) for each in texts])

    await writer.apply(0, [written(n, f"d{n}") for n in range(40)])
    await writer.apply(0, [written(40 + n, f"d{2 * n}") for n in range(10)])
    await writer.apply(0, [unembedded(50 + n, f"d{n}") for n in range(5)])
    await writer.apply(0, [document(55, "elsewhere", [units(1)[0]], " ".join(words), "other")])
    there = {key: each for key, each in there.items() if key[0] not in {f"d{n}" for n in range(5)}}
    for asked in (["word0x"], ["word0x", "word5x"], [*words[:4], "word11x", "unknown"], words):
        expected = sorted(bm25(there, asked).items(), key=lambda each: (-round(each[1][0], 4), each[0]))
        found = await ask(reader, read.lexical("c", 100, " ".join(asked)))
        assert ids(found) == [name for name, _ in expected]
        assert [each["score"] for each in found] == pytest.approx([score for _, (score, _) in expected], abs=1e-4)
        assert [each["passage"]["ordinal"] for each in found] == [ordinal for _, (_, ordinal) in expected]


def pieces(offset: int, name: str, texts: list[str]) -> Entry:
    """A document that is cut into these texts."""
    ends = list(accumulate(len(text) for text in texts))
    passages = tuple(
        Passage(number, end - len(text), end, units(1)[0].tobytes())
        for number, (text, end) in enumerate(zip(texts, ends, strict=True))
    )
    source = Source(TOPIC, 0, offset, INCARNATION, offset, offset + 1, 1_700_000_000_000)
    return Entry(place(offset), Change(Embedded(source, "c", name, "".join(texts), passages)), key_of("c", name), b"")


async def test_a_word_of_every_passage_still_counts(reader: Reader, writer: Writer) -> None:
    """No weight is 0 or less: what has a word of the question comes back, with a score above 0."""
    await writer.apply(0, [document(n, f"d{n}", [units(1)[0]], "three words here") for n in range(3)])
    found = await ask(reader, read.lexical("c", 10, "words"))
    assert ids(found) == ["d0", "d1", "d2"]
    assert all(each["score"] > 0 for each in found)


async def test_any_word_of_a_question_is_enough(reader: Reader, writer: Writer) -> None:
    """Words are alternatives, stemmed, in title or text; more of them rank higher; stop words don't count."""
    vector = units(1)[0]
    texts = {"both": "cats chase mice", "one": "a cat sleeps here", "none": "the dog barks", "empty": ""}
    entries = [document(n, name, [vector], text) for n, (name, text) in enumerate(texts.items())]
    entries.append(document(4, "titled", [vector], "nothing of it", title="Mice"))
    await writer.apply(0, entries)
    assert ids(await ask(reader, read.lexical("c", 10, "Which cats chased the mouse or mice?")))[0] == "both"
    assert set(ids(await ask(reader, read.lexical("c", 10, "a cat, or mice")))) == {"both", "one", "titled"}
    assert await ask(reader, read.lexical("c", 10, "the of and")) == []
    assert await ask(reader, read.lexical("c", 10, "?!")) == []


@pytest.mark.parametrize(
    "question",
    [
        "it's a 'quoted' \"thing\"",
        "back\\slash \\' :* & | ! ( ) <->",
        "C:\\path\\file.txt http://example.org/a?b=c&d='e' x@y.z",
        " ".join(f"w{n}" for n in range(2500))[:10_000],
        "é" * 5000,
        "日本語 の 文",
        "\u0001\u007f\U0010ffff",
    ],
)
async def test_any_question_can_be_asked(reader: Reader, writer: Writer, question: str) -> None:
    """No character of a question means anything to Postgres; what is in the text is found again."""
    await writer.apply(0, [document(0, "a", [units(1)[0]], question)])
    found = ids(await ask(reader, read.lexical("c", 10, f"{question} zebra")))
    assert found in (["a"], [])
    if any(character.isalnum() for character in question) and len(question) < 2000:
        assert found == ["a"]


async def test_fused_rankings_prefer_what_both_know(reader: Reader, writer: Writer) -> None:
    """Good in both beats best in one only; each ranking gives its best document one half, and what it lacks nothing."""
    axis = np.eye(DIMENSIONS)
    vectors = [axis[0], 0.8 * axis[0] + 0.6 * axis[1], axis[5], 0.6 * axis[0] + 0.8 * axis[1]]
    texts = ["nothing", "zebra among many other words here", "zebra", "nothing"]
    names = ["dense", "both", "words", "near"]
    await writer.apply(
        0, [document(n, *each) for n, each in enumerate(zip(names, ([v] for v in vectors), texts, strict=True))]
    )
    query = axis[0].astype("<f2").tobytes()
    found = await ask(reader, read.hybrid("c", 10, query, "zebra"))
    by_words = {each["document_id"]: each["score"] for each in await ask(reader, read.lexical("c", 10, "zebra"))}
    assert ids(found) == ["both", "dense", "words", "near"]
    scores = [0.4 + by_words["both"] / by_words["words"] / 2, 0.5, 0.5, 0.3]
    assert [each["score"] for each in found] == pytest.approx(scores, abs=1e-3)
    assert ids(await ask(reader, read.hybrid("c", 1, query, "zebra"))) == ["both"]


async def test_collections_are_counted(reader: Reader, writer: Writer) -> None:
    """Documents without passages count too; a collection without documents is none."""
    vector = units(1)[0]
    await writer.apply(
        0, [document(0, "a", [vector, vector], "t"), document(1, "b", []), document(2, "x", [vector], "t", "other")]
    )
    counted = [{"name": "c", "documents": 2, "passages": 2}, {"name": "other", "documents": 1, "passages": 1}]
    assert await ask(reader, read.collections()) == counted
    await writer.apply(0, [unembedded(3, "a"), unembedded(4, "b")])
    assert await ask(reader, read.collections()) == counted[1:]


async def test_the_exact_scan_runs_only_when_it_must(reader: Reader, writer: Writer, postgres: Databases) -> None:
    """A guard that Postgres evaluates first: where the index yields enough, no other scan of passages is begun."""
    await filled(writer)
    question = read.dense("c", 10, units(1, seed=2)[0].tobytes())
    dense = question.shape(await reader.generation("passages"))
    vector = "[" + ",".join(map(str, units(1, seed=2)[0].astype(float))) + "]"
    connection = await asyncpg.connect(postgres.owner, server_settings=SESSION)
    try:
        await connection.execute(f"PREPARE q (text, int, halfvec) AS WITH {dense} SELECT * FROM rows")
        plan = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE q('c', 10, '{vector}')")
    finally:
        await connection.close()
    scans = [node for node in nodes(json.loads(plan)[0]["Plan"]) if node.get("Relation Name") == "passages"]
    by_index = [node for node in scans if node.get("Index Name") == "passages_vector"]
    others = [node for node in scans if node not in by_index and "ordinal" not in node.get("Index Cond", "")]
    assert [node["Actual Loops"] for node in by_index] == [1]
    assert [node["Actual Loops"] for node in others] == [0]


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every node of a plan."""
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)
