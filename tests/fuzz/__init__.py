"""What strangers may send, drawn at random: bytes, records, requests. `python -m tests.fuzz --minutes M` goes on."""

import os

from hypothesis import settings

EXAMPLES = int(os.environ.get("NENRIN_FUZZ_EXAMPLES") or 50)
"""Of each test: a few in the suite, many by hand."""

fuzzed = settings(max_examples=EXAMPLES, deadline=None)
