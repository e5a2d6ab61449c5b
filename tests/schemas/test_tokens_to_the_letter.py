"""Version tokens as other programs make and read them: contract 3, byte by byte."""

import base64
import json

import pytest

from schemas import versions
from schemas.errors import MalformedToken, OtherIncarnation
from schemas.versions import TOKEN_LIMIT, Version


def wire(token: str) -> str:
    """What a token says."""
    assert "=" not in token
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()


def test_a_token_is_compact_json_in_a_fixed_order() -> None:
    """Whatever order it was put together in: equal versions have equal tokens."""
    one = Version({"documents": {10: 3, 2: 2**63 - 1}, "contexts": {0: 0}}, {"documents": "d", "contexts": "c"})
    other = Version({"contexts": {0: 0}, "documents": {2: 2**63 - 1, 10: 3}}, {"contexts": "c", "documents": "d"})
    assert wire(one.token()) == (
        '{"v":1,"o":{"contexts":{"0":0},"documents":{"2":9223372036854775807,"10":3}},'
        '"i":{"contexts":"c","documents":"d"}}'
    )
    assert one.token() == other.token()
    assert versions.parse(one.token()) == one


def test_the_token_of_nothing_says_so() -> None:
    """No incarnation, no offsets."""
    assert wire(Version().token()) == '{"v":1,"o":{}}'


def test_a_token_has_a_longest_length() -> None:
    """One that is too long is refused for that, not read first; the longest that fits is read."""

    def of_length(length: int) -> str:
        empty = len('{"v":1,"o":{},"i":{"documents":""}}')
        body = {"v": 1, "o": {}, "i": {"documents": "x" * (length * 3 // 4 - empty)}}
        return base64.urlsafe_b64encode(json.dumps(body, separators=(",", ":")).encode()).decode().rstrip("=")

    assert len(of_length(TOKEN_LIMIT)) == TOKEN_LIMIT
    assert set(versions.parse(of_length(TOKEN_LIMIT)).incarnations) == {"documents"}
    with pytest.raises(MalformedToken, match="at most"):
        versions.parse(of_length(TOKEN_LIMIT + 4))


def test_merging_keeps_incarnations_apart() -> None:
    """Of one incarnation the maximum of each partition; of two, nothing that could be compared."""
    a = Version({"documents": {0: 5, 1: 1}}, {"documents": "x"})
    b = Version({"documents": {0: 2, 1: 9, 2: 0}, "responses": {0: 1}}, {"responses": "r"})
    merged = Version({"documents": {0: 5, 1: 9, 2: 0}, "responses": {0: 1}}, {"documents": "x", "responses": "r"})
    assert versions.merge(a, b) == versions.merge(b, a) == merged
    with pytest.raises(OtherIncarnation):
        versions.merge(a, Version({"documents": {0: 9}}, {"documents": "y"}))


def test_the_shortfall_is_what_is_missing_of_each_partition() -> None:
    """Nothing where it is reached exactly, or passed; nothing of topics that are not folded."""
    seen = Version({"documents": {0: 5, 1: 5, 2: 5}})
    wanted = Version({"documents": {0: 4, 1: 5, 2: 6}, "responses": {0: 100}})
    assert versions.shortfall(wanted, seen) == {"documents": {2: 1}}
    assert versions.shortfall(Version({"documents": {0: 5}}), seen) == {}
