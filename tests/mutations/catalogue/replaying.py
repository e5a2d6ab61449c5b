"""Replay: loads, gates, the pointer, the past, and other encoders."""

from tests.mutations.mutation import Mutation

_REPLAY = "tests/replay/"

MUTATIONS = (
    Mutation(
        "load-keeps-the-first-word",
        "Of a document that a segment has twice, the last event in it is what is loaded.",
        "services/replay/segments.py",
        "np.unique(keys[::-1], return_index=True)\n        return np.sort(len(keys) - 1 - first)",
        "np.unique(keys, return_index=True)\n        return np.sort(first)",
        (_REPLAY + "test_filling.py::test_it_holds_what_the_writer_holds",),
    ),
    Mutation(
        "load-keeps-older-segments",
        "What a later segment says of a document takes the place of what an earlier one said.",
        "services/replay/filling.py",
        "            for table in segment.rows:\n                await connection.execute(_DELETE",
        "            for table in ():\n                await connection.execute(_DELETE",
        (_REPLAY + "test_filling.py::test_it_holds_what_the_writer_holds",),
    ),
    Mutation(
        "load-moves-before-it-writes",
        "The rows of a segment and the loader's position change in one transaction.",
        "services/replay/filling.py",
        "                async with connection.transaction():\n"
        "                    await self._write_rows(connection, segment)",
        "                await self._loading.move(\n"
        "                    connection, segment.partition, segment.before, segment.after, segment.entries\n"
        "                )\n"
        "                segment = msgspec.structs.replace(segment, before=segment.after, entries=0)\n"
        "                async with connection.transaction():\n"
        "                    await self._write_rows(connection, segment)",
        (_REPLAY + "test_filling.py::test_what_postgres_refuses_is_parked",),
    ),
    Mutation(
        "each-worker-has-its-own-room",
        "Workers together park no more than one process would.",
        "services/replay/workers.py",
        "        self._room -= parked\n",
        "",
        (_REPLAY + "test_workers.py::test_there_is_one_room_for_what_all_park",),
    ),
    Mutation(
        "two-replay-at-a-time",
        "One replay at a time in a database; the second is refused and told who holds it.",
        "projections/generations/holding.py",
        "        await _take(connection, WHOLE)\n",
        "",
        (_REPLAY + "test_rebuild.py::test_a_second_one_is_told_who_holds_it",),
    ),
    Mutation(
        "candidate-goes-past-live",
        "The gates compare at one version: the candidate pauses exactly where live was.",
        "services/replay/pausing.py",
        "reading.entries(kafka, stretch, here, target.next)",
        "reading.entries(kafka, stretch, here)",
        (_REPLAY + "test_gates.py::test_a_candidate_stands_exactly_where_live_was_while_live_moves_on",),
    ),
    Mutation(
        "digests-not-compared",
        "A candidate whose content digest is not live's is refused.",
        "services/replay/judging.py",
        '    if before == after:\n        return Gate(name, Outcome.PASSED, f"equal, in each of',
        '    if before.keys() == after.keys():\n        return Gate(name, Outcome.PASSED, f"equal, in each of',
        (_REPLAY + "test_gates.py::test_what_another_fold_made_of_the_log_is_refused",),
    ),
    Mutation(
        "rows-not-hashed",
        "A candidate whose rows are not what its digests say is told from a live generation that is damaged.",
        "services/replay/judging.py",
        "    found = await tallies.audit(pair.after.side, pair.model, SHOWN)",
        "    found = tallies.Audit(kept, [], [])",
        (_REPLAY + "test_gates.py::test_a_flipped_bit_of_a_vector_is_found_and_named",),
    ),
    Mutation(
        "parked-not-compared",
        "A candidate that has parked what live has not is refused.",
        "services/replay/judging.py",
        "if not (worse := sorted(after - before)):",
        "if not (worse := sorted(after - before)[len(after) :]):",
        (_REPLAY + "test_gates.py::test_an_event_that_only_the_candidate_has_parked_is_named",),
    ),
    Mutation(
        "failed-gates-promote",
        "A failed gate leaves everything as it was.",
        "services/replay/promoting.py",
        "        if found.passed or forced is not None:\n            await _move",
        "        if found is not None:\n            await _move",
        (
            _REPLAY
            + "test_promoting.py::test_a_gate_that_fails_leaves_everything_as_it_was_until_somebody_overrules_it",
        ),
    ),
    Mutation(
        "previous-forgotten",
        "Rolling back sends readers to the generation that was live before.",
        "projections/generations/lifecycle.py",
        "SET live = p.previous, previous = p.live\n",
        "SET live = p.previous\n",
        (_REPLAY + "test_promoting.py::test_there_and_back_and_the_rest_goes",),
    ),
    Mutation(
        "verification-leaves-out-a-column",
        "Verification finds one flipped character and one flipped bit of a vector.",
        "services/replay/verifying.py",
        "compared = Compared(table, key_of(table, fold.tables), fold.columns(table))",
        "compared = Compared(table, key_of(table, fold.tables), fold.columns(table)[:-1])",
        (_REPLAY + "test_verify.py::test_every_kind_of_damage_to_passages_is_named_and_nothing_else",),
    ),
    Mutation(
        "past-ends-one-late",
        "A generation of the past holds what lies below its token, and nothing of what lies beyond.",
        "projections/positions.py",
        "        if place.next <= target:",
        "        if place.next <= target + 1:",
        (_REPLAY + "test_until.py::test_a_token_names_a_fold",),
    ),
    Mutation(
        "steps-of-an-older-version-left-out",
        "An older version of an event replays as what its steps make of it.",
        "schemas/events.py",
        "newest(data, known.steps) if known.steps else data",
        "data",
        (_REPLAY + "test_evolution.py::test_a_log_of_several_versions_replays_from_its_beginning",),
    ),
    Mutation(
        "question-by-another-encoder",
        "A query vector is never compared with another encoder's vectors.",
        "services/query/search.py",
        "    encoder = encoders.ready(generation.encoder)",
        "    encoder = encoders.ready(next(iter(encoders.states())))",
        ("tests/services/query/test_model_change.py::test_200_promotions_to_and_fro_under_8_readers",),
    ),
    Mutation(
        "newer-schema-read-on",
        "A process that meets a newer control schema refuses.",
        "projections/control/revision.py",
        "if found is not None and found not in REVISIONS:",
        'if found == "":',
        ("tests/services/init/test_newer_schema.py::test_every_process_and_tool_refuses",),
    ),
)
