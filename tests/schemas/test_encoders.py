"""The names of encoders: one for each way to make vectors."""

import re
from dataclasses import fields, replace
from typing import Any

import pytest

from schemas.encoders import MINILM, Encoder


def test_the_default_has_a_name_that_a_topic_can_carry() -> None:
    """`documents.embedded.<name>` is a legal topic, and says which model it is."""
    assert re.fullmatch(r"all-minilm-l6-v2-[0-9a-f]{8}", MINILM.name)


@pytest.mark.parametrize("setting", [field.name for field in fields(Encoder)])
def test_every_setting_is_in_the_name(setting: str) -> None:
    """Vectors of two settings never meet in one topic."""
    value = getattr(MINILM, setting)
    changed: dict[str, Any] = {setting: value + 1 if isinstance(value, int) else f"{value}x"}
    other = replace(MINILM, **changed)
    assert other.name != MINILM.name


@pytest.mark.parametrize("model", ["BAAI/bge-m3", "a/" + "long" * 100, "名前", "../..", "x y_z.1"])
def test_any_model_gives_a_legal_name(model: str) -> None:
    """Letters, digits and hyphens, short enough to leave room for a prefix."""
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,63}-[0-9a-f]{8}", replace(MINILM, model=model).name)
