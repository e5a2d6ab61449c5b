"""How far the log reaches, and how old its oldest unapplied record is."""

from tests.mutations.mutation import Mutation

MUTATIONS = (
    Mutation(
        "heads-are-the-last-stable-offset",
        "The head is the high watermark: an open transaction is lag.",
        "eventlog/topics.py",
        "self._ask_offsets(wanted, latest, IsolationLevel.READ_UNCOMMITTED)",
        "self._ask_offsets(wanted, latest, IsolationLevel.READ_COMMITTED)",
        ("tests/services/heads/test_uncommitted.py::test_heads_count_what_is_not_committed_yet",),
    ),
    Mutation(
        "aborted-records-undated",
        "Aborted records are unapplied too: the age is that of the oldest of them.",
        "services/heads/reader.py",
        'isolation_level="read_uncommitted",',
        'isolation_level="read_committed",',
        ("tests/services/heads/test_uncommitted.py::test_the_probe_finds_every_record",),
    ),
)
