"""The embedder: documents in, documents with vectors out, one derived record for every source record, in order."""

from services.embedder.app import run

__all__ = ["run"]
