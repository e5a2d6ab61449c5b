"""A database for each test of the projections."""

import pytest

from tests.running import Databases


@pytest.fixture
def dsn(postgres: Databases) -> str:
    """A database of the test's own, with the control schema and no generation yet; as its owner."""
    return postgres.owner
