"""Between the rows and the reader: one snapshot, versions, lag, waiting."""

from tests.mutations.mutation import Mutation

_READING = "projections/reading.py"
_LAG = "projections/lag.py"
_CASES = "tests/projections/test_lag.py::test_state_and_lag_are_those_of_the_contract"
_FRESH = "tests/services/query/test_freshness.py::"
_UNKNOWN = "tests/services/query/test_unknown_everywhere.py::"
_COMMIT = "tests/projections/test_one_snapshot.py::test_a_commit_after_a_statement_changes_no_answer"
_SNAPSHOT = "tests/projections/test_one_snapshot.py::test_an_answer_is_of_one_snapshot_whatever_is_held_up"

MUTATIONS = (
    Mutation(
        "version-after-the-rows",
        "Rows, version and generation are read by one SQL statement.",
        _READING,
        "        found.sort(key=_number)\n",
        "        found.sort(key=_number)\n"
        '        found[:1] = await self.fetch(f"SELECT 0 AS n, ({frame_of(generation)}) AS body, NULL")\n',
        (_COMMIT,),
    ),
    Mutation(
        "version-before-the-rows",
        "Rows, version and generation are read by one SQL statement.",
        _READING,
        "        found = await self.fetch(self._statement(question.shape, generation), *question.values)\n",
        '        first = await self.fetch(f"SELECT 0 AS n, ({frame_of(generation)}) AS body, NULL")\n'
        "        found = await self.fetch(self._statement(question.shape, generation), *question.values)\n"
        "        found = first + [row for row in found if row[0]]\n",
        (_COMMIT, _SNAPSHOT),
    ),
    Mutation(
        "promotion-unnoticed",
        "Readers' statements return the pointer's value; on a mismatch they resolve again.",
        _READING,
        "if number is None and not answer.is_live and (not was_live or answer.ends_in_the_past):",
        "if number is None and answer.frame.live < 0:",
        ("tests/projections/test_reading.py::test_a_promotion_is_seen_by_the_next_read",),
    ),
    Mutation(
        "unknown-lag-is-0",
        "Unknown is never 0.",
        _LAG,
        "        return UNKNOWN\n",
        "        return Lag(State.LIVE, 0, 0.0)\n",
        (
            _CASES,
            "tests/projections/test_reading.py::test_lag_comes_with_every_answer",
            f"{_FRESH}test_bounded_staleness",
        ),
    ),
    Mutation(
        "unknown-lag-shown-as-0",
        "Unknown: both lags are null, and the header has no numbers.",
        _READING,
        "        lag.events,\n        lag.seconds,\n",
        "        lag.events or 0,\n        lag.seconds or 0.0,\n",
        (f"{_UNKNOWN}test_no_call_shows_a_lag_that_is_not_known",),
    ),
    Mutation(
        "unknown-lag-is-0-in-an-overview",
        "Unknown is never 0, in the overview of the projections too.",
        "services/query/projections.py",
        "        lag_events=standing.lag_events,\n",
        "        lag_events=standing.lag_events or 0,\n",
        (f"{_UNKNOWN}test_no_overview_shows_one_either",),
    ),
    Mutation(
        "unknown-lag-in-the-header",
        "Nenrin-Lag of an unknown lag: state=unknown without numbers.",
        _LAG,
        "        if self.events is None:\n",
        "        if self.events == -1:\n",
        (
            f"{_UNKNOWN}test_no_call_shows_a_lag_that_is_not_known",
            "tests/projections/test_lag.py::test_unknown_has_no_numbers_in_the_header",
        ),
    ),
    Mutation(
        "old-heads-believed",
        "Heads not observed for 5 s: the lag is unknown.",
        _LAG,
        "OBSERVED_WITHIN = 5.0",
        "OBSERVED_WITHIN = 500.0",
        (_CASES,),
    ),
    Mutation(
        "fresh-projection-is-live",
        "No partition claimed yet: the lag is unknown.",
        _LAG,
        "any(partition.epoch for partition in frame.partitions)",
        "True",
        (_CASES,),
    ),
    Mutation(
        "heads-of-another-topic-believed",
        "Heads of another incarnation say nothing of these positions.",
        _LAG,
        "partition.head_incarnation != partition.incarnation",
        "partition.head_incarnation is None",
        (_CASES,),
    ),
    Mutation(
        "unknown-lag-is-fresh-enough",
        "An unknown lag does not meet Nenrin-Max-Lag.",
        _LAG,
        "return self.seconds is not None and self.seconds <= seconds",
        "return (self.seconds or 0.0) <= seconds",
        ("tests/projections/test_lag.py::test_an_unknown_lag_meets_no_bound", f"{_FRESH}test_bounded_staleness"),
    ),
    Mutation(
        "at-least-ignored",
        "Nenrin-At-Least: read your writes, or 412.",
        "services/query/conditions.py",
        "        return versions.shortfall(self.at_least, seen)\n",
        "        return {}\n",
        (f"{_FRESH}test_what_is_missing_is_said", f"{_FRESH}test_a_waiter_is_answered_when_its_version_arrives"),
    ),
    Mutation(
        "token-without-incarnation",
        "A token names the incarnation of each topic.",
        "schemas/versions.py",
        "        if self.incarnations:\n",
        "        if not self.incarnations:\n",
        ("tests/schemas/test_versions.py::test_a_token_brings_its_version_back",),
    ),
    Mutation(
        "another-incarnation-is-answered",
        "A token of another incarnation: 410.",
        "schemas/versions.py",
        "if theirs is not None and ours is not None and theirs != ours:",
        'if theirs == "" and ours is not None:',
        (f"{_FRESH}test_another_incarnation_is_gone",),
    ),
    Mutation(
        "merged-token-is-the-least",
        "Merge = maximum per partition.",
        "schemas/versions.py",
        "merged[partition] = max(",
        "merged[partition] = min(",
        ("tests/schemas/test_versions.py::test_merging_is_the_least_upper_bound",),
    ),
    Mutation(
        "filter-after-the-limit",
        "A filter never yields fewer than k documents while as many match.",
        "projections/passages/lexical.py",
        "ORDER BY billionths DESC, document_id OFFSET 0\n",
        "ORDER BY billionths DESC, document_id LIMIT {depth}\n",
        ("tests/projections/test_search.py::test_a_filter_never_yields_too_few",),
    ),
    Mutation(
        "no-exact-scan",
        "When the index scan ends short, an exact scan runs in the same snapshot.",
        "projections/passages/dense.py",
        "    AND (SELECT count(*) < {depth} FROM approximate)\n",
        "    AND (SELECT count(*) = 0 FROM near)\n",
        ("tests/projections/test_search.py::test_one_document_with_all_the_near_passages",),
    ),
    Mutation(
        "vector-of-another-question",
        "A search is for the vector of its own query.",
        "services/query/encoder.py",
        "        self._known[text] = vector\n",
        "        self._known[text.lower()] = vector\n",
        ("tests/services/query/test_query_vectors.py::test_each_question_has_its_own_vector",),
    ),
)
