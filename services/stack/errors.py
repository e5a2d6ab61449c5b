"""Why a stack can't start, each with the next step in its message.

StackError
├── AlreadyRunning   another supervisor holds the state folder
├── BadScale         a service cannot run so many times, or is not known
├── PortTaken        another program listens where the stack wants to
├── KafkaFailed      Kafka's jars can't be had, or its storage can't be formatted
├── PostgresFailed   the database cluster can't be made or used
└── StartFailed      a process ends at each start, or doesn't answer in time
"""

from schemas.errors import StackError

__all__ = ["AlreadyRunning", "BadScale", "KafkaFailed", "PortTaken", "PostgresFailed", "StackError", "StartFailed"]


class AlreadyRunning(StackError):
    """Another supervisor holds the state folder."""


class BadScale(StackError):
    """A service cannot run so many times, or is not known."""


class PortTaken(StackError):
    """Another program listens where the stack wants to."""


class KafkaFailed(StackError):
    """Kafka's jars can't be had, or its storage can't be formatted."""


class PostgresFailed(StackError):
    """The database cluster can't be made or used."""


class StartFailed(StackError):
    """A process ends at each start, or doesn't answer in time."""
