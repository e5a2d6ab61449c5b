"""`nenrin init`: everything that Nenrin needs to find in a Kafka and a Postgres, made or checked."""

from services.init.copying import copy
from services.init.installing import run
from services.init.resetting import reset

__all__ = ["copy", "reset", "run"]
