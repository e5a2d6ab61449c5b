"""`nenrin encoders`: which encoders this installation embeds with, and adding and removing them while it runs."""

from services.encoders.adding import Added, add
from services.encoders.covering import until_covered
from services.encoders.listing import Listed, listed
from services.encoders.removing import StillUsed, remove

__all__ = ["Added", "Listed", "StillUsed", "add", "listed", "remove", "until_covered"]
