"""What schemathesis cannot know: NDJSON, tokens, and the limits that JSON Schema has no words for."""

import json
import re
from typing import Any

import schemathesis
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.openapi.checks import RejectedPositiveData

from schemas.versions import Version

TOKENS = [Version().token(), Version({"documents": {0: 0}}).token(), Version({"contexts": {9: 9}}).token()]

# A refusal of what the schema allows is right where it says one of these.
BEYOND_SCHEMAS = re.compile(
    r"malformed-token|broken-cursor|bytes of compact JSON|bytes of UTF-8|beyond 64 bits|lone surrogate|give query"
    r"|given beside query|needs the words|points nowhere|numbers, got|got `float`|\"field\":\"filter"
)


@schemathesis.serializer("application/x-ndjson")
def ndjson(_: Any, value: Any) -> bytes:
    """Documents, one a line."""
    return b"\n".join(json.dumps(line).encode() for line in (value if isinstance(value, list) else [value]))


@schemathesis.hook
def map_headers(_: Any, headers: Any) -> Any:
    """Tokens that are some, where one was made up: a reader that gets no further than its token shows little."""
    if headers and isinstance(made_up := headers.get("Nenrin-At-Least"), str) and len(made_up) % 4:
        headers["Nenrin-At-Least"] = TOKENS[len(made_up) % len(TOKENS)]
    return headers


@schemathesis.hook
def filter_failure(_: Any, failure: Any, case: Any, response: Any) -> bool:
    """Whether a failure is one."""
    if isinstance(failure, RejectedPositiveData):
        return not BEYOND_SCHEMAS.search(response.text)
    if isinstance(failure, AcceptedNegativeData):
        # HTTP adds headers on its way, and nobody refuses one that it does not know; a line's fault stands in a 200
        return "unexpected properties" not in failure.message and case.media_type != "application/x-ndjson"
    return True
