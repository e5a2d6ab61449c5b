"""What the doctor says of a read model that another version of Nenrin made."""

import pytest

from services.doctor import Finding, Level, examine
from services.settings import Settings
from tests.running import execute

SHAPE = "UPDATE nenrin.generations SET shape = {} WHERE projection = 'documents'"


@pytest.mark.parametrize(("shape", "advice"), [(0, "`nenrin projections rebuild documents`"), (7, None)])
def test_another_shape_is_a_warning(installed: Settings, shape: int, advice: str | None) -> None:
    """It serves, so it is no problem; the command is named where one is due. Every other projection is fine."""
    assert shapes(installed) == []
    execute(installed.dsn, SHAPE.format(shape))
    (found,) = shapes(installed)
    assert (found.what, found.level) == ("shape of documents", Level.WARNING)
    assert f"(shape {shape}, " in found.evidence
    assert (found.advice or "").startswith(advice or "")
    assert (found.advice is None) == (advice is None)


def shapes(settings: Settings) -> list[Finding]:
    """What is said of shapes."""
    return [finding for finding in examine(settings, None) if finding.what.startswith("shape of")]
