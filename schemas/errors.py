"""The errors that rooms raise for one another, in one tree.

A room's own errors, which nobody outside it tells apart, stand beside what raises them.

NenrinError
├── InvalidInput            what a caller or producer sent breaks the contract; names the field
│   └── MalformedToken      a version token that cannot be read, or names what does not exist
├── OtherIncarnation        a token, position or record of a topic that has since been recreated
├── Fenced                  another process has claimed this partition: leave, write nothing
├── NotClaimed              a batch of a partition that was let go before its turn came: drop it
├── Gap                     a record does not continue its position: something in between is missing
├── UndecodableRecord       a derived record that no embedder of ours can have written
├── TopicMismatch           a topic is absent, or its partitions or settings are not what they were
├── PositionLost            the log no longer holds the offset that a position asks for
│   └── LogCut              the log ends before a position: it lost records that had been read
├── GenerationMissing       a generation that does not exist (any more)
├── GenerationOutdated      a generation whose tables another version of Nenrin made
├── EncoderMissing          an encoder that is not known here (any more)
├── Held                    another process replays here: one at a time
├── NewerSchema             the control schema is of a later version of Nenrin than this process
├── DatabaseAway            Postgres cannot be reached or is shutting down; try again
├── DataRefused             Postgres will not store or compare these values
├── TooManyParked           more events can't be folded than the limit allows: somebody has to look
├── LogAway                 Kafka cannot be reached; carries the outcome of a write
└── StackError              the embedded stack cannot start; says what to do
"""


class NenrinError(Exception):
    """Root of all errors that Nenrin raises on purpose. Its text is fit to show to a user."""


class InvalidInput(NenrinError):
    """Input that breaks the contract. `field` is the member at fault, "" when it is the input as a whole."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field
        self.message = message


class MalformedToken(InvalidInput):
    """A version token that cannot be read, or that names a topic or partition that does not exist."""

    def __init__(self, message: str) -> None:
        super().__init__("Nenrin-At-Least", message)


class OtherIncarnation(NenrinError):
    """Positions of one incarnation of a topic mean nothing in another."""


class Fenced(NenrinError):
    """Another process claimed the partition: nothing was written, and this owner must leave."""


class NotClaimed(NenrinError):
    """The partition was let go, here, before the batch's turn came; its next owner reads it again."""


class Gap(NenrinError):
    """A record's coverage begins after the position: applying it would lose what lies between."""


class UndecodableRecord(NenrinError):
    """A record of a derived topic that cannot be read."""


class TopicMismatch(NenrinError):
    """A topic is absent, or differs in a way that would break positions or order."""


class PositionLost(NenrinError):
    """The log begins after the position: events between are gone, so the projection cannot go on."""


class LogCut(PositionLost):
    """The log ends before the position. Whatever gets the lost offsets next are other events."""


class GenerationMissing(NenrinError):
    """A generation of a projection that does not exist, or no longer."""


class GenerationOutdated(NenrinError):
    """A generation lacks what this version of Nenrin keeps in it; it has to be made anew from the log."""


class EncoderMissing(NenrinError):
    """An encoder that nobody has added here, or that was removed, or that another version of Nenrin knew."""


class Held(NenrinError):
    """Somebody else replays in this database; the message says who."""


class NewerSchema(NenrinError):
    """A later version of Nenrin has migrated the control schema: this process must not touch it."""


class DatabaseAway(NenrinError):
    """Postgres cannot be reached, or ended the connection. Nothing is known to be wrong with the data.

    `advice` says why, and what to do, where that is known: it is fit to show to whoever asked.
    """

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(f"{message}; {advice}" if advice else message)
        self.advice = advice


class DataRefused(NenrinError):
    """Postgres will not take these values: a fault of the data, not of the machine."""


class TooManyParked(NenrinError):
    """A projection has reached its limit of parked events, and waits until some are dealt with."""


class LogAway(NenrinError):
    """Kafka did not acknowledge. `outcome` is "not_written" (never handed over) or "unknown" (repeating is safe)."""

    def __init__(self, outcome: str, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome


class StackError(NenrinError):
    """The embedded stack cannot start or go on; the message says what to do."""
