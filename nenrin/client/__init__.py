"""The client: calls as values (`calls`), their answers (`answers`), what goes wrong (`errors`), and who sends them."""

from nenrin.client import answers, errors
from nenrin.client.asynchronous import AsyncSession
from nenrin.client.conditions import Conditions
from nenrin.client.documents import Draft
from nenrin.client.session import Session
from schemas.errors import MalformedToken

__all__ = ["AsyncSession", "Conditions", "Draft", "MalformedToken", "Session", "answers", "errors"]
