"""Between the caller and the log: nothing is told that Kafka has not acknowledged."""

from tests.mutations.mutation import Mutation

_PRODUCING = "services/command/producing.py"
_WRITES = "tests/services/command/test_writes.py::"
_FROZEN = "tests/services/command/test_kafka_away.py::test_a_frozen_broker"
_IDEMPOTENT = "tests/services/test_idempotence.py::test_the_command_services_producers_are_idempotent"

MUTATIONS = (
    Mutation(
        "reply-before-the-ack",
        "The command service answers only after Kafka's acks=all.",
        _PRODUCING,
        "        self._outstanding.add(future)\n",
        "        future.set_result(Place(0, 0))\n        self._outstanding.add(future)\n",
        (_FROZEN,),
    ),
    Mutation(
        "upload-answered-before-the-acks",
        "An upload is answered when all of it is acknowledged.",
        "services/command/stream.py",
        "                yield\n                await self.acknowledged()\n",
        "                yield\n",
        ("tests/services/command/test_upload.py::test_every_line_becomes_an_event",),
    ),
    Mutation(
        "commands-not-idempotent",
        "What a client repeats for want of an answer is in the log once.",
        _PRODUCING,
        '"enable.idempotence": True,',
        '"enable.idempotence": False,',
        (_IDEMPOTENT,),
    ),
    Mutation(
        "unknown-told-as-not-written",
        'outcome "unknown": it may be in the log.',
        _PRODUCING,
        '_fail(future, LogAway("unknown", _doubt(reason)))',
        '_fail(future, LogAway("not_written", _doubt(reason)))',
        (_FROZEN,),
    ),
    Mutation(
        "another-partitioner",
        "Partitioner: murmur2 of the key, as the Java client does.",
        _PRODUCING,
        '"partitioner": "murmur2_random",',
        '"partitioner": "consistent_random",',
        (f"{_WRITES}test_every_id_lies_in_its_partition",),
    ),
    Mutation(
        "token-short-of-the-write",
        "Writes return the token that covers the write.",
        "services/command/publisher.py",
        "{place.partition: place.offset + 1}",
        "{place.partition: place.offset}",
        (f"{_WRITES}test_a_put_is_an_added_event",),
    ),
)
