"""What a session has seen: one version that only grows, whatever the order, whoever adds to it."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nenrin.client.errors import TopicRecreated
from nenrin.client.seen import Seen
from schemas.topics import SOURCES
from schemas.versions import Version, merge, parse, shortfall

OFFSETS = st.dictionaries(st.integers(0, 5), st.integers(0, 1000), max_size=4)
VERSIONS = st.builds(Version, st.dictionaries(st.sampled_from(SOURCES), OFFSETS, max_size=3))


def seen(*versions: Version) -> Seen:
    """What has seen these, one after the other."""
    all_of_it = Seen()
    for version in versions:
        all_of_it.cover(version.token())
    return all_of_it


@settings(max_examples=50, deadline=None)
@given(st.lists(VERSIONS, max_size=8).flatmap(lambda some: st.tuples(st.just(some), st.permutations(some))))
def test_the_order_of_answers_does_not_matter(orders: tuple[list[Version], list[Version]]) -> None:
    """Answers overtake one another; in the end the same is covered, and it is the merged version."""
    one, other = orders
    assert seen(*one).version == seen(*other).version == merge(*one)


@settings(max_examples=50, deadline=None)
@given(st.lists(VERSIONS, min_size=1, max_size=8), VERSIONS)
def test_it_never_goes_back(versions: list[Version], more: Version) -> None:
    """Whatever is added, all that was covered stays so, and so does what was added."""
    before, after = seen(*versions).version, seen(*versions, more).version
    for position in (before, more):
        assert all(
            after.next(topic, partition) >= offset
            for topic, offsets in position.offsets.items()
            for partition, offset in offsets.items()
        )
    assert not shortfall(before, after)


@settings(max_examples=50, deadline=None)
@given(st.lists(VERSIONS, max_size=5), st.lists(VERSIONS, max_size=5))
def test_a_token_handed_on_is_as_good_as_having_seen_it(here: list[Version], there: list[Version]) -> None:
    """A session that goes on from another's token covers what both have seen."""
    other = seen(*there)
    assert seen(*here, parse(other.version.token())).version == merge(*here, *there)


def test_what_has_seen_nothing_asks_for_nothing() -> None:
    """There is no token to send, until there is."""
    nothing = Seen()
    assert nothing.token is None
    nothing.cover(Version({"documents": {0: 1}}).token())
    assert nothing.token is not None
    nothing.forget()
    assert nothing.token is None


def test_threads_lose_nothing() -> None:
    """Many threads adding their own partitions at once: all of it is covered."""
    all_of_it = Seen()

    def add(partition: int) -> None:
        for offset in range(1, 50):
            all_of_it.cover(Version({"documents": {partition: offset}}).token())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(8)))
    assert all_of_it.version.offsets == {"documents": dict.fromkeys(range(8), 49)}


def test_versions_of_two_incarnations_do_not_mix() -> None:
    """What was seen stays as it was, and the error says what to do."""
    old = Version({"documents": {0: 7}}, {"documents": "x"})
    session = seen(old)
    with pytest.raises(TopicRecreated, match=r"forget\(\)"):
        session.cover(Version({"documents": {0: 9}}, {"documents": "y"}).token())
    assert session.version == old
