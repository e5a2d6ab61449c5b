"""How to reach Kafka, told once and translated for each client library."""

import ssl
from pathlib import Path
from typing import Any

import msgspec


class KafkaSettings(msgspec.Struct, frozen=True):
    """A cluster, the way in, and what stands before our topics' names there. The password never shows in a repr."""

    bootstrap: str
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "SCRAM-SHA-512"
    sasl_username: str | None = None
    sasl_password: str | None = None
    ssl_cafile: Path | None = None
    topic_prefix: str = ""

    def real(self, topic: str) -> str:
        """The name in Kafka of a topic that we call `topic`."""
        return self.topic_prefix + topic

    def logical(self, name: str) -> str:
        """What we call the topic that Kafka calls `name`."""
        return name.removeprefix(self.topic_prefix)

    def __repr__(self) -> str:
        return f"KafkaSettings({self.bootstrap!r}, {self.security_protocol}, user={self.sasl_username!r})"

    @property
    def servers(self) -> list[str]:
        """The bootstrap servers, one by one."""
        return [server.strip() for server in self.bootstrap.split(",")]

    def aiokafka(self) -> dict[str, Any]:
        """Arguments of aiokafka's consumer and producer."""
        found: dict[str, Any] = {"bootstrap_servers": self.servers, "security_protocol": self.security_protocol}
        if self.security_protocol.endswith("SSL"):
            found["ssl_context"] = ssl.create_default_context(cafile=self.ssl_cafile)
        if self.security_protocol.startswith("SASL"):
            found["sasl_mechanism"] = self.sasl_mechanism
            found["sasl_plain_username"] = self.sasl_username
            found["sasl_plain_password"] = self.sasl_password
        return found

    def confluent(self) -> dict[str, Any]:
        """Configuration of librdkafka's clients."""
        found: dict[str, Any] = {
            "bootstrap.servers": ",".join(self.servers),
            "security.protocol": self.security_protocol,
        }
        if self.ssl_cafile is not None:
            found["ssl.ca.location"] = str(self.ssl_cafile)
        if self.security_protocol.startswith("SASL"):
            found["sasl.mechanism"] = self.sasl_mechanism
            found["sasl.username"] = self.sasl_username
            found["sasl.password"] = self.sasl_password
        return found

    def faust(self) -> list[str]:
        """The brokers as Faust names them; it shows them and no more, for our transport makes the client."""
        return [f"kafka://{server}" for server in self.servers]
