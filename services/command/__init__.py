"""The command service: takes writes over HTTP and answers when Kafka has them."""

from services.command.app import run

__all__ = ["run"]
