"""What the tests of clients share."""

from collections.abc import Iterator

import pytest

from nenrin import Session
from tests.running import Running


@pytest.fixture(scope="module")
def session(whole_stack: Running) -> Iterator[Session]:
    """One session with the stack."""
    with Session(state=whole_stack.state) as session:
        yield session
