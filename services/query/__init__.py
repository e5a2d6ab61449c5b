"""The query service: answers from Postgres alone, each with its version and its lag."""

from services.query.app import run

__all__ = ["run"]
