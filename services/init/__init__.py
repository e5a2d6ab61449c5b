"""`nenrin init`: everything that Nenrin needs to find in a Kafka and a Postgres, made or checked."""

from services.init.installing import run

__all__ = ["run"]
