"""The graph that encodes questions: torch's vectors without torch, and never anything else."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from encoders import questions
from encoders.encoder import TextEncoder
from encoders.export import export
from encoders.exported import PROBES, GraphEncoder, UnusableGraph, places
from encoders.folder import packaged
from encoders.pages import large
from schemas.encoders import MINILM
from tests.encoders.test_encoder import PROSE, SCRIPTS, cosines

LENGTHS = [" ".join(PROSE.split()[:words]) for words in (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 1000)]
QUESTIONS = ["", " ", "\x01\u200b", "a", "?", *SCRIPTS.values(), *LENGTHS, "漢" * 2000, "🎄" * 300, "x" * 9000]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model in a folder of this test's own, without a graph; the user's cache is empty too."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "model"
    folder.mkdir()
    for file in packaged(MINILM).iterdir():
        if file.name != "onnx":
            (folder / file.name).symlink_to(file)
    return folder


@pytest.fixture(scope="module")
def graph() -> bytes:
    """A good graph, as it is kept."""
    return export(MINILM, packaged(MINILM)).read_bytes()


@pytest.fixture(scope="module")
def torch_vectors() -> NDArray[np.float32]:
    encoder = TextEncoder(device="cpu")
    return np.stack([encoder.encode_query(text) for text in QUESTIONS])


def keep(folder: Path, content: bytes) -> Path:
    """Put a graph where the query service looks for it."""
    place = places(MINILM, folder)[0]
    place.parent.mkdir()
    place.write_bytes(content)
    return place


def changed(graph: bytes, node: str, attribute: str, value: float) -> bytes:
    """The graph with one number of its nodes of a kind changed: well-formed, and wrong."""
    model = onnx.load_from_string(graph)
    for found in model.graph.node:
        if found.op_type == node:
            next(one for one in found.attribute if one.name == attribute).CopyFrom(
                onnx.helper.make_attribute(attribute, value)
            )
    return bytes(model.SerializeToString())


def test_a_question_has_the_vector_that_torch_gives_it(
    folder: Path, graph: bytes, torch_vectors: NDArray[np.float32]
) -> None:
    """Of no token and one, of every script, up to the full window and beyond it: a cosine of 0.9999 or more."""
    encoder = GraphEncoder(MINILM, folder, keep(folder, graph))
    vectors = encoder.encode_queries(QUESTIONS)
    assert vectors.dtype == np.float32
    assert cosines(vectors, torch_vectors).min() >= 0.9999
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_the_probes_reach_the_full_window(folder: Path) -> None:
    """What a graph is checked by has texts of one token and of the whole window."""
    tokens = questions.kept(MINILM, packaged(MINILM))
    assert tokens is not None
    lengths = [len(tokens._tokens.question(text)) for text in PROBES]
    assert (min(lengths), max(lengths)) == (2, MINILM.window)
    assert 3 in lengths


def test_a_damaged_graph_is_made_anew_and_torch_stays_out(folder: Path, graph: bytes) -> None:
    """The first start says what was wrong, and makes another; the next finds it. Neither imports torch or ONNX."""
    code = (
        "import sys, pathlib; from encoders import questions;"
        "from schemas.encoders import MINILM;"
        "print(questions.load(MINILM, 'cpu', pathlib.Path(sys.argv[1])).describe());"
        "sys.exit(not {'torch', 'onnx', 'transformers'}.isdisjoint(sys.modules))"
    )
    place = keep(folder, graph[:1000])
    said = [
        subprocess.run([sys.executable, "-c", code, str(folder)], check=True, capture_output=True, text=True).stdout
        for _ in range(2)
    ]
    assert all(f"the graph {place}" in start for start in said)
    assert ["a kept graph can't be used" in start for start in said] == [True, False]
    assert ["exporting" in start for start in said] == [True, False]
    assert list(place.parent.iterdir()) == [place]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda graph: b"",
        lambda graph: graph[: len(graph) // 2],
        lambda graph: graph[:2000] + b"garbage" * 20 + graph[2140:],
        lambda graph: changed(graph, "LpNormalization", "p", 1),
        lambda graph: changed(graph, "LayerNormalization", "epsilon", 0.5),
        lambda graph: graph.replace(b"layer.3.attention.output.dense", b"layer.4.attention.output.dense"),
    ],
    ids=["empty", "cut off", "garbage", "another length", "another network", "a layer's weights twice"],
)
def test_a_wrong_graph_is_refused(folder: Path, graph: bytes, wrong: object) -> None:
    """Damaged or planted, whether it loads or not: its vectors aren't torch's, so it is not used."""
    assert callable(wrong)
    place = keep(folder, wrong(graph))
    with pytest.raises(UnusableGraph, match=str(place)):
        GraphEncoder(MINILM, folder, place)


def test_without_a_place_to_keep_it_torch_answers(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither beside the model nor in the cache: questions are encoded all the same, and the log says how."""
    (folder / "onnx").write_text("a file where the folder would be")
    (tmp_path / "cache").write_text("another")
    encoder = questions.load(MINILM, "cpu", folder)
    assert isinstance(encoder, TextEncoder)
    said = capsys.readouterr().out
    assert "encoded by torch" in said
    assert "no place that can be written" in said


def test_without_onnxruntime_torch_answers(
    folder: Path, graph: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A platform that has no build of it still searches by meaning."""
    keep(folder, graph)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr(questions, "made", refuse)
    assert isinstance(questions.load(MINILM, "cpu", folder), TextEncoder)
    assert "encoded by torch" in capsys.readouterr().out


def refuse(*_: object) -> None:
    raise UnusableGraph("not here")


def test_a_folder_that_cannot_be_written_leaves_it_in_the_cache(folder: Path, tmp_path: Path) -> None:
    """A model installed by another user is used as it is."""
    (folder / "onnx").write_text("a file where the folder would be")
    place = export(MINILM, folder)
    assert place.is_relative_to(tmp_path / "cache")
    assert questions.kept(MINILM, folder) is not None


def test_a_cache_that_cannot_be_looked_into_is_none(
    folder: Path, graph: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user's home, or none: the graph beside the model is found, and without one nothing breaks."""

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    for cache in ("", "/" + 300 * "x"):  # a name too long fails like a folder that may not be entered
        monkeypatch.setenv("XDG_CACHE_HOME", cache)
        assert questions.kept(MINILM, folder) is None
    keep(folder, graph)
    assert questions.kept(MINILM, folder) is not None


def test_only_large_stretches_of_own_memory_are_asked_to_be_huge() -> None:
    """Not the stack, not code, nothing that is a file or shared."""
    maps = [
        "55d000000000-55d001000000 rw-p 00000000 00:00 0                          [heap]",
        "7f0000000000-7f0000800000 rw-p 00000000 00:00 0 ",
        "7f0001000000-7f0001400000 rw-p 00000000 00:00 0 ",
        "7f0002000000-7f0004000000 r-xp 00000000 08:01 1234                       /usr/lib/library.so",
        "7f0005000000-7f0007000000 rw-p 00000000 08:01 1235                       /model.safetensors",
        "7f0008000000-7f000a000000 rw-s 00000000 00:00 0 ",
    ]
    assert list(large(maps)) == [(0x55D000000000, 0x55D001000000), (0x7F0000000000, 0x7F0000800000)]
