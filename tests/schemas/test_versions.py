"""Version tokens: what they carry, how they merge, and what is refused."""

import base64
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import versions
from schemas.errors import MalformedToken, OtherIncarnation
from schemas.versions import Version

positions = st.dictionaries(st.integers(0, 40), st.integers(0, 2**63 - 1), max_size=8)
some_version = st.builds(
    Version,
    st.dictionaries(st.sampled_from(["documents", "responses", "contexts"]), positions, max_size=3),
    st.just({"documents": "id"}) | st.just({}),
)


def token_of(body: object) -> str:
    """A token made by hand, as a client in another language would."""
    return base64.urlsafe_b64encode(json.dumps(body).encode()).rstrip(b"=").decode()


@given(some_version)
def test_a_token_brings_its_version_back(version: Version) -> None:
    """Encoding and parsing lose nothing."""
    assert versions.parse(version.token()) == version


def test_the_token_of_nothing_has_empty_offsets() -> None:
    """The contract's token of nothing, to the letter."""
    assert base64.urlsafe_b64decode(Version().token() + "==") == b'{"v":1,"o":{}}'


@given(some_version, some_version, some_version)
def test_merging_is_the_least_upper_bound(a: Version, b: Version, c: Version) -> None:
    """Merging is commutative, associative and idempotent, and covers both of its parts."""
    assert versions.merge(a, b) == versions.merge(b, a)
    assert versions.merge(versions.merge(a, b), c) == versions.merge(a, versions.merge(b, c))
    assert versions.merge(a, a) == versions.merge(a)
    assert not versions.shortfall(a, versions.merge(a, b))


@given(some_version, some_version)
def test_a_shortfall_is_exactly_what_is_missing(wanted: Version, seen: Version) -> None:
    """Seen plus shortfall covers the wanted version, in every topic that is counted at all."""
    missing = versions.shortfall(wanted, seen)
    for topic, offsets in wanted.offsets.items():
        for partition, offset in offsets.items():
            short = missing.get(topic, {}).get(partition, 0)
            if topic in seen.offsets:
                assert max(offset, seen.next(topic, partition)) == seen.next(topic, partition) + short
            else:
                assert short == 0


@pytest.mark.parametrize(
    "token",
    [
        "",
        "%%%",
        "bm90IGpzb24",
        "eyJ2IjoxLCJvIjp7fX0=",
        "x" * 70_000,
        token_of([]),
        token_of({"v": 1}),
        token_of({"v": 2, "o": {}}),
        token_of({"v": True, "o": {}}),
        token_of({"v": 1, "o": {"documents": {"-1": 0}}}),
        token_of({"v": 1, "o": {"documents": {"01": 0}}}),
        token_of({"v": 1, "o": {"documents": {"0": -1}}}),
        token_of({"v": 1, "o": {"documents": {"0": 1.5}}}),
        token_of({"v": 1, "o": {"documents": {"0": 2**63}}}),
        token_of({"v": 1, "o": {"documents": {"0": 2**80}}}),
        token_of({"v": 1, "o": {"elsewhere": {"0": 1}}}),
        token_of({"v": 1, "o": {}, "i": {"elsewhere": "x"}}),
        token_of({"v": 1, "o": {}, "i": {"documents": 3}}),
    ],
)
def test_what_is_no_token_is_refused(token: str) -> None:
    """Broken, foreign and huge tokens all end in one kind of error, never in a guess."""
    with pytest.raises(MalformedToken):
        versions.parse(token)


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_parsing_only_ever_refuses(token: str) -> None:
    """Whatever a client sends, parsing returns a version or says that it is none."""
    with contextlib.suppress(MalformedToken):
        assert isinstance(versions.parse(token), Version)


def test_a_token_of_another_incarnation_is_not_compared() -> None:
    """Offsets of a topic that was recreated mean nothing: that is said, not waited for."""
    seen = Version({"documents": {0: 5}}, {"documents": "new"})
    with pytest.raises(OtherIncarnation):
        versions.check(Version({"documents": {0: 3}}, {"documents": "old"}), seen)
    versions.check(Version({"documents": {0: 3}}), seen)  # a client that makes its own token may leave it out
    versions.check(Version({"responses": {9: 3}}, {"responses": "x"}), seen)  # a topic that isn't folded here


def test_a_partition_that_does_not_exist_is_refused() -> None:
    """A token for partition 7 of a topic with one partition can never be reached."""
    with pytest.raises(MalformedToken, match="no partition 7"):
        versions.check(Version({"documents": {7: 0}}), Version({"documents": {0: 5}}))
