"""Models that sentence-transformers saved itself: read as they are, and computed as it computes them."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from encoders.encoder import TextEncoder
from encoders.finding import located
from encoders.folder import WEIGHTS, UnusableModel, is_bert, packaged
from encoders.proving import prove
from encoders.reading import encoder_of
from schemas.encoders import MINILM
from tests.encoders.models import DIMENSIONS, POSITIONS, save, settings

TEXTS = ["How old is the oak?", "In the year 1816 the ring was narrow, for it was cold. It rained on 97 days."]


def saved(folder: Path, network: Any, pooling: str) -> Any:
    """Save a network as sentence-transformers does; the model as it computes it."""
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415  (takes seconds)
    from sentence_transformers.base.modules import Transformer  # noqa: PLC0415
    from sentence_transformers.sentence_transformer.modules import Pooling  # noqa: PLC0415

    base = folder / "base"
    network.save_pretrained(base)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(packaged(MINILM) / name, base / name)
    model = SentenceTransformer(modules=[Transformer(str(base)), Pooling(DIMENSIONS, pooling)], device="cpu")
    model.save(str(folder / "saved"))
    return model


def network(kind: str) -> Any:
    """A small network with random weights."""
    import torch  # noqa: PLC0415  (takes a second)
    import transformers  # noqa: PLC0415

    torch.manual_seed(7)
    if kind == "bert":
        sizes = {"hidden_size": DIMENSIONS, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
        return transformers.BertModel(transformers.BertConfig(max_position_embeddings=POSITIONS, **sizes)).eval()
    sizes = {"dim": DIMENSIONS, "hidden_dim": 128, "n_layers": 2, "n_heads": 4}
    config = transformers.DistilBertConfig(max_position_embeddings=POSITIONS, **sizes)
    return transformers.DistilBertModel(config).eval()


@pytest.mark.parametrize(("kind", "pooling"), [("bert", "cls"), ("distilbert", "mean")])
def test_a_model_is_computed_as_its_maker_does(tmp_path: Path, kind: str, pooling: str) -> None:
    """By our own BERT, and where it is another network, with its weights in several files, by transformers'."""
    net = network(kind)
    reference = saved(tmp_path, net, pooling)
    folder = tmp_path / "saved"
    if kind != "bert":
        (folder / WEIGHTS).unlink()
        net.save_pretrained(folder, max_shard_size="2MB")
        assert len(list(folder.glob("*.safetensors"))) > 1
    encoder = encoder_of(located(str(folder)))
    assert (is_bert(folder), encoder.pooling, encoder.window) == (kind == "bert", pooling, POSITIONS)
    ours = TextEncoder(encoder, "cpu", folder, threads=1)
    vectors = ours.encode([passages[0] for passages in ours.prepare(TEXTS)]).astype(np.float32)
    theirs = reference.encode(TEXTS, normalize_embeddings=True)
    assert np.abs(vectors - theirs).max() < 2e-3


def test_a_model_is_proved_by_its_vectors(tmp_path: Path) -> None:
    """One that can't be loaded says so, and so does one whose texts all come out alike."""
    folder = save(tmp_path / "fine")
    prove(encoder_of(located(str(folder))), folder, "cpu")
    refused(settings(tmp_path / "garbage"), "can't be computed here")
    weights = load_file(folder / WEIGHTS)
    save_file({name: np.zeros_like(weight) for name, weight in weights.items()}, folder / WEIGHTS)
    refused(folder, "no vectors of use")


def refused(folder: Path, why: str) -> None:
    """Prove a model that is no good."""
    with pytest.raises(UnusableModel, match=why):
        prove(encoder_of(located(str(folder))), folder, "cpu")
