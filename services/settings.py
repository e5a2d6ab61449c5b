"""What a process of Nenrin's is told by its environment: read once, at its edge, and passed on as values."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from eventlog.connection import KafkaSettings
from schemas.errors import NenrinError


class SettingsError(NenrinError):
    """A setting has a value that can't be used; the message names the variable."""


class Settings(BaseSettings):
    """Every `NENRIN_*` variable. Passwords and DSNs are secrets: they print masked."""

    model_config = SettingsConfigDict(env_prefix="NENRIN_", frozen=True, extra="ignore", env_ignore_empty=True)

    kafka: str = "127.0.0.1:9092"
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    kafka_ssl_cafile: Path | None = None
    postgres: SecretStr = SecretStr("postgresql://127.0.0.1:5432/nenrin")
    postgres_reader: SecretStr | None = None
    partitions: int = Field(default=12, ge=1)
    topic_prefix: str = ""
    host: str = "127.0.0.1"
    port: int | None = Field(default=None, ge=1, le=65535)
    metrics_port: int | None = Field(default=None, ge=1, le=65535)
    state: Path = Path(".nenrin")
    kafka_data: Path | None = None
    postgres_data: Path | None = None
    text_language: str = "english"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    encoder: str | None = None
    backfill: bool = False
    vector_cache: int = Field(default=1024, ge=0)
    park_limit: int = Field(default=1000, ge=1)
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def load(cls) -> Self:
        """Read the environment; raise `SettingsError` in one line for the first value that doesn't do."""
        try:
            return cls()
        except ValidationError as invalid:
            first = invalid.errors()[0]
            variable = "_".join(("NENRIN", *(str(part).upper() for part in first["loc"])))
            raise SettingsError(f"{variable}={first['input']}: {first['msg']}") from None

    @property
    def dsn(self) -> str:
        """Postgres for those who write."""
        return self.postgres.get_secret_value()

    @property
    def reader_dsn(self) -> str:
        """Postgres for those who only read; they take the reader's role there, whoever logs in."""
        return (self.postgres_reader or self.postgres).get_secret_value()

    def kafka_settings(self) -> KafkaSettings:
        """Kafka, and the prefix of our topics in it."""
        password = self.kafka_sasl_password
        return KafkaSettings(
            bootstrap=self.kafka,
            security_protocol=self.kafka_security_protocol,
            sasl_mechanism=self.kafka_sasl_mechanism,
            sasl_username=self.kafka_sasl_username,
            sasl_password=None if password is None else password.get_secret_value(),
            ssl_cafile=self.kafka_ssl_cafile,
            topic_prefix=self.topic_prefix,
        )
