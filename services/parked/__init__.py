"""What operators do about parked events: append them to their topic again, or give them up on record."""

from services.parked.planning import Asked, Chosen, Done, Outcome, Step
from services.parked.retrying import retry
from services.parked.skipping import skip

__all__ = ["Asked", "Chosen", "Done", "Outcome", "Step", "retry", "skip"]
