"""Tokens and the headers beside them, in every spelling: read, or refused by name."""

import base64
import contextlib
import json
import string
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from schemas import traceparent, versions
from schemas.errors import InvalidInput, MalformedToken, OtherIncarnation
from schemas.versions import Version
from services.query import conditions
from tests.fuzz import fuzzed
from tests.fuzz.test_envelopes import mutated, spelled

TOPICS = st.sampled_from(["documents", "responses", "contexts", "documents ", "Documents", "", "x"])
PARTITIONS = st.sampled_from(["0", "1", "00", "-1", "+1", " 1", "1_0", "١", "²", "1.0", "1e3", "9" * 9, "9" * 10, ""])
OFFSETS: st.SearchStrategy[Any] = st.sampled_from(
    [0, 1, -1, 2**63 - 1, 2**63, 10**400, 1.0, 1.5, "1", None, True, [], {}]
)
VERSIONS: st.SearchStrategy[Any] = st.sampled_from([2, 0, -1, 1.0, "1", True, None])
INCARNATIONS: st.SearchStrategy[Any] = st.sampled_from(["id", "", None, 5, "\ud800", "\0"])
SOUND = Version({"documents": {0: 3, 1: 2**63 - 1}, "responses": {7: 0}}, {"documents": "id"})
PREFERENCES = st.sampled_from(
    ["wait=5", "wait=1e9", "wait=", 'wait="5"', "handling=lenient;x", "²", "1e999", "9" * 500, "-0"]
)
HEADER = st.text(st.characters(max_codepoint=255), max_size=40)


def token_of(raw: bytes) -> str:
    """Any bytes as a token."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def read(token: str) -> Version | None:
    """What the token says; None where it is refused. Nothing else may come of it."""
    with contextlib.suppress(MalformedToken):
        version = versions.parse(token)
        assert versions.parse(version.token()) == version
        assert versions.merge(version) == version
        assert not versions.shortfall(version, version)
        return version
    return None


@fuzzed
@given(st.text(max_size=80) | st.text(string.ascii_letters + string.digits + "-_=+/\n", max_size=80))
@example(SOUND.token() + "\n")
@example(SOUND.token() + "=")
@example("\u0660" * 8)
def test_any_text_is_a_token_or_refused(text: str) -> None:
    """Padding, another alphabet, line ends and digits of other scripts included."""
    if read(text) is not None:
        assert set(text) <= set(string.ascii_letters + string.digits + "-_")


@fuzzed
@given(st.data())
def test_a_damaged_token_is_a_token_or_refused(data: st.DataObject) -> None:
    """Bytes changed beneath the base64, and characters of the base64 itself."""
    read(token_of(data.draw(mutated(base64.urlsafe_b64decode(SOUND.token() + "==")))))
    read(data.draw(mutated(SOUND.token().encode())).decode("latin-1"))


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """What a token says, one thing about it odd."""
    odd = draw(st.sampled_from(["v", "topic", "partition", "offset", "incarnation", "another"]))
    topic, partition, offset = (
        draw(strange) if odd == name else usual
        for name, usual, strange in (
            ("topic", "documents", TOPICS), ("partition", "0", PARTITIONS), ("offset", 3, OFFSETS)
        )
    )  # fmt: skip
    body = {"v": draw(VERSIONS) if odd == "v" else 1, "o": {topic: {partition: offset}}}
    incarnations = {"i": {topic: draw(INCARNATIONS)}} if odd == "incarnation" else {}
    return {**body, **incarnations, **({"x": None} if odd == "another" else {})}


@fuzzed
@given(bodies())
def test_what_a_token_says_is_within_bounds(body: dict[str, Any]) -> None:
    """Topics that exist, partitions in plain digits, offsets of a log: a token with anything else is refused."""
    version = read(token_of(json.dumps(body).encode()))
    if version is not None:
        assert body["v"] == 1
        assert set(version.offsets) | set(version.incarnations) <= {"documents", "responses", "contexts"}
        numbers = [number for positions in version.offsets.values() for pair in positions.items() for number in pair]
        assert all(type(number) is int and 0 <= number < 2**63 for number in numbers)
        said = {topic: {str(at): next_ for at, next_ in some.items()} for topic, some in version.offsets.items()}
        assert said == body["o"]


@fuzzed
@given(spelled())
def test_any_json_is_a_token_or_refused(text: str) -> None:
    """Numbers and strings in every spelling, NaN, keys given twice, deep nesting; alone and as the positions."""
    read(token_of(text.encode(errors="surrogatepass")))
    read(token_of(f'{{"v":1,"o":{text}}}'.encode(errors="surrogatepass")))
    read(token_of(f'{{"v":1,"o":{{"documents":{{"0":{text},"0":1}}}}}}'.encode(errors="surrogatepass")))


@fuzzed
@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"nenrin-at-least", b"nenrin-max-lag", b"nenrin-generation", b"prefer", b"other"]),
            st.one_of(
                HEADER,
                st.just(SOUND.token()),
                PREFERENCES,
            ).map(lambda value: value.encode("latin-1")),
        ),
        max_size=5,
    )
)  # fmt: skip
def test_conditions_are_read_or_refused(headers: list[tuple[bytes, bytes]]) -> None:
    """Any value of any of the headers, given twice too: conditions that can be answered with, or a named refusal."""
    with contextlib.suppress(InvalidInput, OtherIncarnation):
        asked = conditions.conditions(headers)
        assert 0 <= asked.wait <= conditions.LONGEST_WAIT
        assert asked.max_lag is None or asked.max_lag >= 0
        asked.applied.encode("ascii")


@fuzzed
@given(
    st.text(max_size=60)
    | st.binary(max_size=60)
    | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.*")
)
def test_a_traceparent_is_one_or_nothing(value: str | bytes) -> None:
    """What is handed on can stand in a header and in a quoted string."""
    if (found := traceparent.valid(value)) is not None:
        assert found.isascii()
        assert found.isprintable()
        assert not set(found) & set('"\\ ')
