"""Records of any bytes: the judge never raises, and says of each what the oracle says."""

import base64
import json
from dataclasses import replace

from hypothesis import example, given
from hypothesis import strategies as st

from schemas import events
from schemas.events import Invalid, Unknown, Valid
from schemas.records import Record
from tests.fuzz import fuzzed
from tests.laws.events import added, in_base64, removed, structured
from tests.laws.test_agreement import both, in_its_partition

WHOLE = added("c", "one", "a text", title="a title", metadata={"n": [1, 2.5, None, "é"], "b": True})
MADE = [WHOLE, removed("c", "one"), structured(WHOLE), in_base64(WHOLE)]
CE_NAMES = st.sampled_from(["ce_specversion", "ce_id", "ce_source", "ce_type", "content-type", "traceparent"])
CONTENT_TYPES = st.sampled_from(
    [b"application/json", b"application/cloudevents+json", b"APPLICATION/CloudEvents+JSON; charset=x", b"\xff",
     b"application/cloudevents-batch+json"]
)  # fmt: skip
BYTES = st.none() | st.binary(max_size=60)

# JSON as no writer of ours would spell it
NUMBERS = st.sampled_from(
    ["0", "-0", "-0.0", "1e400", "-1e400", "1e-400", "9223372036854775807", "9223372036854775808", "1" * 400, "1E2",
     "-9223372036854775809", "18446744073709551616", "1e19", "0.1e1", "NaN", "Infinity", "-Infinity", "01", "1.", "+1",
     "1" * 4000, "1e", "0x1", "١"]
)  # fmt: skip
STRINGS = st.sampled_from(
    ['""', '"a"', r'"\u0000"', '"\x00"', '"\x01"', '"\n"', r'"\ud800"', r'"\udfff\ud800"', r'"\ud83d\ude00"', r'"\x41"',
     r'"\/"', '"\\', '"年"', '"\x7f"', r'"\u00e9"', '"' + "a" * 2000 + '"']
)  # fmt: skip
ODD = st.sampled_from(["null", "true", "None", "", "{}", "[]", "[[]]", "{", "]", "//", "'a'", "\ufeff1", "[1,]"])
DEPTHS = st.sampled_from([1, 30, 300, 900, 5000])


@st.composite
def spelled(draw: st.DrawFn, depth: int = 0) -> str:
    """A piece of text that is JSON, or nearly."""
    kinds = [NUMBERS, STRINGS, ODD]
    if depth < 3:
        kinds += [st.lists(spelled(depth + 1), max_size=3).map(lambda items: f"[{','.join(items)}]"), objects(depth)]
    if not depth:
        kinds.append(st.builds(lambda deep, inner: "[" * deep + inner + "]" * deep, DEPTHS, NUMBERS | STRINGS))
        kinds.append(st.builds(lambda deep, inner: '{"a":' * deep + inner + "}" * deep, DEPTHS, NUMBERS | STRINGS))
    return draw(st.one_of(kinds))


def objects(depth: int) -> st.SearchStrategy[str]:
    """An object, its keys perhaps given twice."""
    pairs = st.tuples(STRINGS | st.sampled_from(['"a"', '"text"', '"type"']), spelled(depth + 1))
    return st.lists(pairs, max_size=3).map(lambda some: "{" + ",".join(f"{key}:{value}" for key, value in some) + "}")


@st.composite
def values(draw: st.DrawFn) -> bytes:
    """An event's data, one member of it spelled in some other way, or given twice."""
    members = {"collection": '"c"', "document_id": '"one"', "text": '"t"'}
    name = draw(st.sampled_from(["collection", "document_id", "text", "title", "metadata", "source_uri", "another"]))
    spelling = draw(spelled())
    pairs = [*members.items(), (name, spelling)]
    shuffled = draw(st.permutations(pairs))
    space = draw(st.sampled_from(["", " ", "\n\t\r ", "\x0b", "\xa0", "\ufeff"]))
    text = "{" + ",".join(f'{space}"{key}":{space}{value}' for key, value in shuffled) + "}" + space
    return text.encode(errors="surrogatepass")


@st.composite
def mutated(draw: st.DrawFn, whole: bytes) -> bytes:
    """A few bytes changed, inserted or left out; the end perhaps cut off."""
    raw = bytearray(whole)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, max(0, len(raw) - 1)))
        raw[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=3))
    return bytes(raw[: draw(st.integers(0, len(raw)) | st.just(len(raw)))])


HEADERS = st.lists(st.tuples(CE_NAMES | st.text(max_size=6), CONTENT_TYPES | BYTES), max_size=8).map(tuple)


@fuzzed
@given(BYTES, BYTES | mutated(WHOLE.value or b""), HEADERS, st.integers(0, 3))
def test_the_judge_never_raises(
    key: bytes | None, value: bytes | None, headers: tuple[tuple[str, bytes | None], ...], at: int
) -> None:
    """Keys, values and headers of any bytes, headers twice, in any order: a judgement, and a reason fit to be kept."""
    record = Record("documents", at, 0, 0, key, value, headers)
    judgement = events.judge(record, 4)
    assert isinstance(judgement, Valid | Invalid | Unknown)
    if isinstance(judgement, Invalid):
        assert judgement.reason
        judgement.reason.encode()
    events.traceparent_of(record)


@fuzzed
@given(values())
@example(b'{"collection":"c","document_id":"one","text":"t","another":' + b"[" * 600 + b"NaN" + b"]" * 600 + b"}")
@example(b'{"collection":"c","document_id":"one","text":"t","another":' + b'{"a":' * 970 + b"1" + b"}" * 970 + b"}")
def test_both_read_the_same_json(value: bytes) -> None:
    """Numbers, strings and nesting in every spelling: a document to both, the same one, or to neither."""
    event = replace(WHOLE, value=value)
    mine, theirs = both(event, in_its_partition(event))
    assert json.dumps(mine) == json.dumps(theirs)


@fuzzed
@given(st.data())
def test_both_read_the_same_of_damaged_events(data: st.DataObject) -> None:
    """Single bytes of an event's value changed, in every mode."""
    whole = data.draw(st.sampled_from(MADE))
    event = replace(whole, value=data.draw(mutated(whole.value or b"")))
    mine, theirs = both(event, in_its_partition(event))
    assert json.dumps(mine) == json.dumps(theirs)


@fuzzed
@given(
    values(), st.booleans(), st.sampled_from(["data", "data_base64", "type", "id", "specversion", "source", "extra"])
)
def test_both_read_the_same_structured_events(value: bytes, encoded: bool, name: str) -> None:
    """An envelope around any data, one of its members given twice or spelled otherwise."""
    inside = value.decode(errors="replace")
    data = f'"data_base64":"{base64.b64encode(value).decode()}"' if encoded else f'"data":{inside}'
    envelope = (
        f'{{"specversion":"1.0","id":"1","source":"/t","type":"nenrin.document.added.v1",{data},"{name}":{inside}}}'
    )
    event = replace(structured(WHOLE), value=envelope.encode(errors="surrogatepass"))
    mine, theirs = both(event, in_its_partition(event))
    assert json.dumps(mine) == json.dumps(theirs)
