"""An encoder out of a model's folder: what every setting comes from, and what is refused before anything is made."""

import re
from pathlib import Path
from typing import Any

import pytest

from encoders.finding import located
from encoders.folder import UnusableModel, check
from encoders.reading import Cut, encoder_of, remarks
from schemas.encoders import MINILM, Encoder
from schemas.errors import InvalidInput
from tests.encoders.models import DIMENSIONS, POSITIONS, modules, settings, write

LEGACY = {"word_embedding_dimension": DIMENSIONS, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder that is whole, but for its weights."""
    return settings(tmp_path / "my-model")


def read(folder: Path, cut: Cut | None = None) -> Encoder:
    """The encoder that a folder is."""
    return encoder_of(located(str(folder)), cut)


def refusal(folder: Path) -> str:
    """Why it is none."""
    with pytest.raises(UnusableModel) as refused:
        read(folder)
    return str(refused.value)


def test_the_packaged_model_is_the_default_encoder() -> None:
    """By its name, and with no options, it is the very one that needs no row; with others it is another."""
    model = located(MINILM.model)
    assert model.is_packaged
    assert encoder_of(model) == MINILM
    other = encoder_of(model, Cut(passage=100))
    assert (other.passage, other.overlap, other.model) == (100, 25, MINILM.model)
    assert other.name.startswith("all-minilm-l6-v2-")
    assert other.name != MINILM.name


def test_a_folder_says_what_its_encoder_is(folder: Path) -> None:
    """The folder's own name, its vectors' size, how they are pooled, and no more tokens than it has positions."""
    encoder = read(folder)
    assert re.fullmatch(r"my-model-[0-9a-f]{8}", encoder.name)
    assert (encoder.model, encoder.dimensions, encoder.pooling) == ("my-model", DIMENSIONS, "mean")
    assert (encoder.window, encoder.passage, encoder.overlap) == (POSITIONS, POSITIONS - 2, 31)
    check(folder, encoder)


def test_the_pooling_is_read_as_older_versions_write_it(tmp_path: Path) -> None:
    """sentence-transformers before 5.4 writes a flag for each kind; an unread flag would be pooled otherwise."""
    assert read(settings(tmp_path / "model", LEGACY)).pooling == "cls"


def test_any_change_of_the_weights_is_another_encoder(folder: Path) -> None:
    """Also of one shard of several, whichever it is."""
    name = read(folder).name
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    (folder / "model-00002-of-00002.safetensors").write_bytes(b"more")
    sharded = read(folder).name
    (folder / "model-00002-of-00002.safetensors").write_bytes(b"less")
    assert len({name, sharded, read(folder).name}) == 3


def test_the_window_is_the_least_of_what_model_and_tokenizer_say(folder: Path) -> None:
    """Of a network that counts positions from behind its padding, two are never used."""
    write(folder / "sentence_bert_config.json", {"max_seq_length": 64})
    assert read(folder).window == 64
    write(folder / "sentence_bert_config.json", {"max_seq_length": None})
    write(folder / "config.json", {"model_type": "roberta", "max_position_embeddings": 66, "pad_token_id": 1})
    assert read(folder).window == 64


@pytest.mark.parametrize(
    ("cut", "field"),
    [
        (Cut(window=POSITIONS + 1), "--window"),
        (Cut(window=4), "--window"),
        (Cut(passage=POSITIONS - 1), "--passage"),
        (Cut(overlap=POSITIONS), "--overlap"),
    ],
)
def test_a_cut_that_does_not_fit_the_model_is_refused(folder: Path, cut: Cut, field: str) -> None:
    """The option at fault is named, with what there is to choose from."""
    with pytest.raises(InvalidInput, match=f"{field}: .* this model takes") as refused:
        read(folder, cut)
    assert refused.value.field == field


def _pooled(folder: Path, **said: Any) -> None:
    write(folder / "1_Pooling" / "config.json", {"embedding_dimension": DIMENSIONS, **said})


def test_what_is_no_model_of_this_kind_is_refused(folder: Path) -> None:
    """Each with what it has, and what would do."""
    _pooled(folder, pooling_mode=["mean", "max"])
    assert "pooling mean+max; only mean and cls do" in refusal(folder)
    _pooled(folder, pooling_mode="mean", embedding_dimension=4096)
    assert "vectors of 4,096 numbers; pgvector's index takes 4,000" in refusal(folder)
    write(folder / "modules.json", modules("Transformer", "Pooling", "Dense"))
    assert "['Transformer', 'Pooling', 'Dense']" in refusal(folder)
    write(folder / "modules.json", [{"type": "Transformer", "path": "0_T"}, {"type": "Pooling", "path": "1_Pooling"}])
    assert "save(ANOTHER)" in refusal(folder)
    (folder / "modules.json").unlink()
    assert f"{folder} holds no modules.json" in refusal(folder)


def test_a_folder_without_weights_or_tokenizer_is_refused(folder: Path) -> None:
    """Its files are named, as it lacks them."""
    tokenizer = (folder / "tokenizer.json").read_bytes()
    (folder / "tokenizer.json").write_text("{}")
    assert "tokenizer" in refusal(folder)
    (folder / "tokenizer.json").unlink()
    assert "holds no tokenizer.json" in refusal(folder)
    (folder / "tokenizer.json").write_bytes(tokenizer)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "holds no *.safetensors" in refusal(folder)


def test_a_model_that_is_nowhere_is_refused_with_the_way_to_get_it(tmp_path: Path) -> None:
    """Nothing is fetched, so the message says what fetches it."""
    for name in ("no-such-model", str(tmp_path / "nothing"), "some/repository"):
        with pytest.raises(UnusableModel, match="hf download NAME --local-dir DIR"):
            located(name)


def test_a_model_in_hugging_faces_cache_has_its_own_name(tmp_path: Path) -> None:
    """By its name or by its folder, which is called after a commit there."""
    revision = "0" * 40
    cached = settings(tmp_path / "models--org--small-model" / "snapshots" / revision)
    assert located(str(cached)).name == "org/small-model"
    assert read(cached).name.startswith("small-model-")


def test_prompts_that_are_not_used_are_said(folder: Path) -> None:
    """Empty ones are none."""
    write(folder / "config_sentence_transformers.json", {"prompts": {"query": "", "document": ""}})
    assert list(remarks(folder)) == []
    write(folder / "config_sentence_transformers.json", {"prompts": {"query": "query: "}})
    assert "prompts (query)" in next(remarks(folder))


def test_a_cached_model_is_found_without_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hugging Face's library is asked for what it has, and for nothing else."""
    import huggingface_hub.constants  # noqa: PLC0415  (it reads the environment when it is imported)

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    repository, revision = tmp_path / "models--org--small-model", "0" * 40
    cached = settings(repository / "snapshots" / revision)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(revision)
    assert located("org/small-model").folder.samefile(cached)
