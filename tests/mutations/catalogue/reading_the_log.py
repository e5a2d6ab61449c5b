"""How the log is read: committed records only, from claimed positions, every offset accounted for."""

from tests.mutations.mutation import Mutation

_FETCHING = "eventlog/fetching.py"
_POSITIONED = "tests/eventlog/test_positioned.py::"
_INBOX = "tests/eventlog/test_inbox.py::"

MUTATIONS = (
    Mutation(
        "uncommitted-records-read",
        "All consumers read committed.",
        _FETCHING,
        'isolation_level="read_committed",',
        'isolation_level="read_uncommitted",',
        (
            "tests/eventlog/test_committed_only.py::"
            "test_nothing_of_an_open_transaction_is_read_while_its_neighbours_are",
            f"{_POSITIONED}test_holes_of_markers_and_aborted_records_are_covered",
        ),
    ),
    Mutation(
        "reading-begins-anywhere",
        "Reading begins at the claimed position.",
        _FETCHING,
        "            consumer.seek(tp, position)\n",
        "            consumer.seek(tp, 0)\n",
        (f"{_POSITIONED}test_reading_begins_at_the_claimed_position",),
    ),
    Mutation(
        "quiet-end-never-passed",
        "At a quiet end that lies behind markers, the position reaches the end within 1 s.",
        _FETCHING,
        "QUIET = 0.2",
        "QUIET = 200.0",
        (f"{_POSITIONED}test_a_quiet_end_behind_markers_is_passed_within_a_second",),
    ),
    Mutation(
        "deliveries-of-an-old-session-kept",
        "What was buffered before a claim is dropped.",
        "eventlog/inbox.py",
        "if delivered.session != self._session or place not in self._waiting:",
        "if place not in self._waiting:",
        (f"{_INBOX}test_a_new_session_drops_what_an_older_one_left",),
    ),
    Mutation(
        "lost-delivery-unnoticed",
        "Each record's predecessor was delivered by the same session.",
        "eventlog/inbox.py",
        "if delivered.since != self._expected[place]:",
        "if delivered.since < self._expected[place]:",
        (f"{_INBOX}test_a_delivery_that_leaves_a_hole_is_an_error",),
    ),
)
