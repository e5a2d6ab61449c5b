"""The model behind passages: the vectors that sentence-transformers gives, whatever is encoded beside them."""

import asyncio
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from encoders.chunking import Piece
from encoders.encoder import TextEncoder
from encoders.folder import UnusableModel, check, packaged
from schemas.encoders import MINILM
from services.query.encoder import QueryEncoder

SCRIPTS = {
    "emoji": "A family 👨‍👩‍👧‍👦 and a flag 🇯🇵 walked under the trees 🌲🌲. They counted rings.",
    "combining": unicodedata.normalize(
        "NFD", "Les anneaux d'un chêne âgé révèlent les sécheresses passées. Ça se lit."
    ),
    "cjk": "年輪は木の一年ごとの成長を示すものである。気候の記録として使われることもある。",
    "right to left": "טבעות העץ מספרות את גילו של העץ. كل حلقة تمثل سنة واحدة من النمو؟ نعم.",
    "astral": "𝒯𝓇𝑒𝑒 𝓇𝒾𝓃𝑔𝓈 are written here in 𝔪𝔞𝔱𝔥𝔢𝔪𝔞𝔱𝔦𝔠𝔞𝔩 letters. 𠮷野家 is a name.",
    "hangul": "나이테는 나무의 나이를 알려 준다. 가뭄의 해에는 고리가 좁다.",
    "controls": "A zero\u200bwidth space, a bell\x07, and a soft\u00adhyphen are in here. Yes.",
    "code": "def age(tree):\n    return len(tree.rings)  # 3.14 is not a sentence\n\n\nprint(age(oak))",
}
PROSE = " ".join(
    f"In the year {year} the ring was {'narrow' if year % 3 else 'wide'}, for rain fell on {year % 97} days only."
    for year in range(1000, 1200)
)


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder(device="cpu")


@pytest.fixture(scope="module")
def reference() -> Any:
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415  (takes seconds; only these tests need it)

    return SentenceTransformer(str(packaged(MINILM)), device="cpu", local_files_only=True)


def cosines(ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[np.float64]:
    one, two = ours.astype(np.float64), theirs.astype(np.float64)
    products: NDArray[np.float64] = (one * two).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)
    return products


@pytest.mark.parametrize("text", [*SCRIPTS.values(), PROSE], ids=[*SCRIPTS, "prose"])
def test_a_passage_has_the_vector_of_its_text(encoder: TextEncoder, reference: Any, text: str) -> None:
    """sentence-transformers, given `text[start:end]`, agrees: the offsets are code points, the tokens the same."""
    [pieces] = encoder.prepare([text])
    expected = reference.encode([text[piece.start : piece.end] for piece in pieces])
    assert cosines(encoder.encode(pieces), expected).min() >= 0.9999


def test_vectors_are_float16_of_length_one(encoder: TextEncoder) -> None:
    """What goes on the wire: little-endian float16, as many as the encoder says, normalised."""
    [pieces] = encoder.prepare([PROSE])
    vectors = encoder.encode(pieces)
    assert vectors.dtype.str == "<f2"
    assert vectors.shape == (len(pieces), MINILM.dimensions)
    assert np.allclose(np.linalg.norm(vectors.astype(np.float32), axis=1), 1, atol=1e-3)


def test_encoding_nothing_gives_no_vectors(encoder: TextEncoder) -> None:
    """A batch of empty documents needs no special case."""
    assert encoder.prepare(["", " \n"]) == [[], []]
    assert encoder.encode([]).shape == (0, MINILM.dimensions)


def test_what_is_encoded_beside_a_passage_does_not_change_it(encoder: TextEncoder) -> None:
    """Batches are sorted, padded and spread over threads; each vector still comes back in its place."""
    prepared = encoder.prepare([*SCRIPTS.values(), PROSE])
    pieces = [piece for found in prepared for piece in found]
    together = encoder.encode(pieces)
    alone = np.concatenate([encoder.encode([piece]) for piece in pieces])
    assert cosines(together, alone).min() >= 0.9999


def test_text_without_tokens_has_a_vector(encoder: TextEncoder) -> None:
    """Control characters alone are a passage that says nothing, not a failure."""
    [pieces] = encoder.prepare(["\x01\u200b"])
    assert [len(piece.tokens) for piece in pieces] == [0]
    assert np.isfinite(encoder.encode(pieces)).all()


@pytest.mark.parametrize("line", ["x" * 1_000_000, "!" * 1_000_000, "漢" * 333_333, "🎄" * 250_000, "각" * 333_333])
def test_a_megabyte_in_one_line_is_cut_to_passages(encoder: TextEncoder, line: str) -> None:
    """No line is so long that it is refused, left out, or given to the model whole."""
    [pieces] = encoder.prepare([line])
    assert pieces[0].start == 0
    assert pieces[-1].end == len(line)
    assert all(one.end >= two.start for one, two in pairwise(pieces))
    assert all(within(piece) for piece in pieces)


def within(piece: Piece) -> bool:
    return len(piece.tokens) <= MINILM.passage and piece.end - piece.start <= MINILM.characters


def test_a_query_is_the_vector_of_its_text_up_to_the_window(encoder: TextEncoder, reference: Any) -> None:
    """A long question is cut where sentence-transformers cuts it."""
    for text in ("How old is the oak?", PROSE):
        assert cosines(encoder.encode_query(text)[None], reference.encode([text])).min() >= 0.9999


def test_another_network_gives_the_same_vectors(encoder: TextEncoder, tmp_path: Path) -> None:
    """Models that aren't BERT go through transformers, and come out of the same pooling."""
    from encoders import model  # noqa: PLC0415  (imports torch)

    [pieces] = encoder.prepare([PROSE])
    inputs = [encoder._tokens.framed(piece.tokens) for piece in pieces]
    plain = model.Model(packaged(MINILM), MINILM, "cpu")
    expected = plain(inputs)
    plain._network = model._foreign_network(packaged(MINILM), plain.device, plain.precision)
    assert cosines(plain(inputs), expected).min() >= 0.99999


@pytest.mark.parametrize("setting", [{"revision": "0" * 16}, {"dimensions": 768}, {"pooling": "cls"}])
def test_a_model_that_is_not_the_one_named_is_refused(setting: dict[str, Any]) -> None:
    """A name stands for these weights, this pooling: with others, the message says what differs."""
    with pytest.raises(UnusableModel, match=next(iter(setting))):
        check(packaged(MINILM), replace(MINILM, **setting))


def test_only_the_constructor_imports_torch() -> None:
    """A query service answers text searches while its encoder still loads; names need no torch at all."""
    code = "import sys, services.query.encoder; sys.exit(not {'torch', 'onnx', 'onnxruntime'}.isdisjoint(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture
def queries() -> Iterator[QueryEncoder]:
    queries = QueryEncoder(MINILM, "cpu")
    yield queries
    queries.close()


async def test_queries_are_encoded_as_soon_as_the_model_is_loaded(queries: QueryEncoder, encoder: TextEncoder) -> None:
    """The event loop goes on while the model loads; a question that can wait gets its vector, and again from memory."""
    assert not queries.ready
    queries.start()
    first = await queries.encode("How old is the oak?")
    assert queries.ready
    assert queries.failure is None
    assert first.dtype == np.float32
    assert np.allclose(first, encoder.encode_query("How old is the oak?"), atol=1e-5)
    assert await queries.encode("How old is the oak?") is first


async def test_a_model_that_cannot_load_says_why() -> None:
    """Dense search stays unavailable and the reason is there to be shown; nothing waits for ever."""
    broken = QueryEncoder(replace(MINILM, revision="0" * 16), "cpu")
    broken.start()
    with pytest.raises(Exception, match="revision"):
        await asyncio.wait_for(broken.encode("anything"), 60)
    assert not broken.ready
    assert "revision" in str(broken.failure)
    broken.close()


def test_a_process_that_still_loads_can_end() -> None:
    """Making the graph may take minutes: SIGTERM meanwhile ends the query service, which waits for none of it."""
    code = """if True:
        import time
        from encoders import questions
        questions.load = lambda *_: time.sleep(600)
        from services.query.encoder import QueryEncoder
        encoder = QueryEncoder()
        encoder.start()
        encoder.close()
    """
    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode == 0
