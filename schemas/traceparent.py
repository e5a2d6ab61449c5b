"""W3C Trace Context: the header `traceparent`, which names the span that an event came from.

It describes how an event travelled, not what it says. So what is not valid is left out, as the W3C asks, and never a
fault of its event.
"""

import re

HEADER = "traceparent"

LONGEST = 128
"""Characters. One of version 00 has 55; later versions may add to it, in what a quoted string can hold."""

_SPAN = r"(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
_VALID = re.compile(rf"00-{_SPAN}|(?!00|ff)[0-9a-f]{{2}}-{_SPAN}(-[!#-\[\]-~]*)?")


def valid(value: str | bytes | None) -> str | None:
    """The value, if it is a `traceparent`; otherwise nothing."""
    if isinstance(value, bytes):
        value = value.decode("ascii", errors="replace")
    if not value or len(value) > LONGEST or not _VALID.fullmatch(value):
        return None
    return value
