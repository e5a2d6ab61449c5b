"""Between the source topic and the derived one."""

from tests.mutations.mutation import Mutation

_APP = "services/embedder/app.py"
_CLAIMING = "tests/services/embedder/test_claiming.py::"

MUTATIONS = (
    Mutation(
        "embedder-not-idempotent",
        "The embedder uses one idempotent producer.",
        "services/embedder/producer.py",
        "enable_idempotence=True,",
        "enable_idempotence=False,",
        ("tests/services/test_idempotence.py::test_the_embedders_producer_is_idempotent",),
    ),
    Mutation(
        "embedder-begins-at-0",
        "The embedder finds its place by the tail of its own output partition.",
        _APP,
        "begin if tail is None else tail.next for place",
        "begin for place",
        (f"{_CLAIMING}test_it_goes_on_behind_the_tail_of_its_output",),
    ),
    Mutation(
        "embedder-goes-on-at-the-last-record",
        "The embedder goes on behind the last record that it derived.",
        _APP,
        "begin if tail is None else tail.next for place",
        "begin if tail is None else tail.offset for place",
        (f"{_CLAIMING}test_it_goes_on_behind_the_tail_of_its_output",),
    ),
    Mutation(
        "tail-of-a-topic-that-is-gone",
        "Positions of one incarnation of a topic mean nothing in another.",
        _APP,
        "            if tail is not None:\n",
        "            if False and tail is not None:\n",
        (f"{_CLAIMING}test_a_tail_of_another_incarnation_is_not_gone_on_from",),
    ),
    Mutation(
        "derived-in-any-order",
        "One record for every source record, in source order.",
        "services/embedder/pipeline.py",
        "while self._works and self._works[0].is_ready",
        "while self._works",
        ("tests/services/embedder/test_pipeline.py::test_each_partition_keeps_the_order_of_its_source",),
    ),
    Mutation(
        "a-halt-does-not-wait",
        "What was on its way is acknowledged before the partitions are let go.",
        "services/embedder/pipeline.py",
        "        await asyncio.gather(*(task for _, task in lanes.values()))\n",
        "        pass\n",
        ("tests/services/embedder/test_pipeline.py::test_after_a_halt_nothing_of_the_old_session_is_written",),
    ),
    Mutation(
        "skipped-records-uncovered",
        "`from` is the `next` of the record before it.",
        "services/embedder/work.py",
        "offset=last.next - 1, since=first.since",
        "offset=last.next - 1, since=last.since",
        (
            "tests/services/embedder/test_work.py::"
            "test_neighbours_that_hold_nothing_share_a_record_and_the_chain_has_no_hole",
        ),
    ),
    Mutation(
        "wrong-partition-accepted",
        "An event is valid only in the partition that murmur2 gives its key.",
        "schemas/events.py",
        "!= record.partition:",
        "!= record.partition and home < 0:",
        ("tests/schemas/test_events.py::test_an_event_lies_where_its_key_says",),
    ),
    Mutation(
        "wrong-key-accepted",
        "An event is valid only when its key matches its data.",
        "schemas/events.py",
        "if record.key != documents.key_of(event.collection, event.document_id):",
        "if record.key is None:",
        ("tests/laws/test_agreement.py::test_both_refuse_the_same",),
    ),
    Mutation(
        "vectors-of-a-topic-that-is-gone",
        "A derived record carries the incarnation of its source, and no other is applied.",
        "services/entries.py",
        "if source.incarnation != incarnation:",
        'if source.incarnation == "":',
        ("tests/services/test_entries.py::test_vectors_of_another_incarnation_are_not_mixed_in",),
    ),
)
