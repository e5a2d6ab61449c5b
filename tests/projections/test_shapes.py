"""Which live generations an upgrade makes outdated, and the number of the one that takes their place."""

from projections.generations.shapes import Made, Outdated, outdated


def made(generation: int, shape: int, *, live: bool = False, candidate: bool = True, name: str = "documents") -> Made:
    """A generation."""
    return Made(name, generation, shape, live, candidate)


def test_a_live_generation_of_an_older_shape_is_outdated() -> None:
    """The next number is a new one: those of generations that have ended, or are kept as previous, are taken."""
    known = [made(1, 1, candidate=False), made(2, 1, live=True), made(1, 1, live=True, name="passages")]
    assert outdated(known, {"documents": 2, "passages": 1}) == [Outdated("documents", 2, 1, 2, 3)]
    assert outdated(known, {"documents": 1, "passages": 1}) == []


def test_a_candidate_of_the_new_shape_is_gone_on_with() -> None:
    """After a crash in the middle of an upgrade the same number is told; a candidate of another shape is no help."""
    known = [made(1, 1, live=True), made(2, 2), made(3, 3)]
    assert [each.next for each in outdated(known, {"documents": 2})] == [2]
    assert [each.next for each in outdated(known[:1] + known[2:], {"documents": 2})] == [4]


def test_what_a_later_version_made_is_left_alone() -> None:
    """After a downgrade nothing is built, and the words say so; a projection that isn't known here is none of ours."""
    (found,) = outdated([made(4, 2, live=True), made(1, 9, live=True, name="answers")], {"documents": 1})
    assert not found.is_older
    assert "later version (shape 2, here 1): it is left as it is" in str(found)


def test_the_words_say_what_happens() -> None:
    """Which generation, why, and that it serves meanwhile."""
    (found,) = outdated([made(1, 0, live=True)], {"documents": 1})
    assert found.is_older
    assert str(found) == (
        "documents generation 1 was made by an older version (shape 0, now 1): it serves until generation 2 is built "
        "from the log"
    )
