"""Topics: their names, and the settings that the contract fixes."""

import msgspec

DOCUMENTS = "documents"
RESPONSES = "responses"
CONTEXTS = "contexts"
SOURCES = (DOCUMENTS, RESPONSES, CONTEXTS)
"""Every source topic that a version token may name."""

SOURCE_RECORD_LIMIT = 2 * 1024 * 1024
DERIVED_RECORD_LIMIT = 16 * 1024 * 1024


class Topic(msgspec.Struct, frozen=True):
    """A topic as `nenrin init` makes it. `record_limit` is `max.message.bytes`."""

    name: str
    partitions: int
    record_limit: int

    def settings(self) -> dict[str, str]:
        """The contract's topic settings; replication is the cluster's affair."""
        return {
            "retention.ms": "-1",
            "cleanup.policy": "delete",
            "message.timestamp.type": "LogAppendTime",
            "max.message.bytes": str(self.record_limit),
        }


def derived(encoder: str, source: str = DOCUMENTS) -> str:
    """The name of the topic that holds `source` embedded by `encoder`."""
    return f"{source}.embedded.{encoder}"


def wanted(partitions: int, *encoders: str) -> tuple[Topic, ...]:
    """The topics that an installation needs: the source, and its twin of vectors for each encoder."""
    return (
        Topic(DOCUMENTS, partitions, SOURCE_RECORD_LIMIT),
        *(Topic(derived(encoder), partitions, DERIVED_RECORD_LIMIT) for encoder in encoders),
    )
