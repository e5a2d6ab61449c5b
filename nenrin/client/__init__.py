"""The client: calls as values (`calls`), their answers (`answers`), what goes wrong (`errors`), and who sends them."""

from nenrin.client.calls import ANY, Freshness
from nenrin.client.session import Session

__all__ = ["ANY", "Freshness", "Session"]
