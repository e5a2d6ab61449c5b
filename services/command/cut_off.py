"""Bulk calls that a fault cut off, as problems: how far each is for certain, and what became of the rest."""

import msgspec
from litestar.plugins.problem_details import ProblemDetailsException

from schemas.errors import LogAway, NenrinError
from services.command.listing import Behind
from services.command.removal import Removal, Removed
from services.command.stream import Stream
from services.command.upload import Progress, Upload
from web.problems import unavailable


def upload_cut_off(upload: Upload, stream: Stream[Progress], error: LogAway) -> ProblemDetailsException:
    """Every valid line up to `last_line` is in the log; `outcome` is that of the lines behind it."""
    done = upload.progress
    return unavailable(
        "log-away",
        "Kafka did not acknowledge",
        str(error),
        accepted=done.accepted,
        last_line=done.last_line,
        rejected_count=done.rejected,
        rejected=msgspec.to_builtins(upload.rejected(done)),
        version=stream.version.token(),
        outcome=stream.outcome,
    )


def removal_cut_off(removal: Removal, stream: Stream[Removed], error: NenrinError) -> ProblemDetailsException:
    """Every document up to `last_document_id` is removed in the log; `outcome` is that of those behind it."""
    done = removal.progress
    shortfall = {"shortfall": error.shortfall} if isinstance(error, Behind) else {}
    return unavailable(
        "removal-cut-off",
        "The removal was cut off",
        str(error),
        removed=done.removed,
        last_document_id=done.last_document_id,
        version=stream.version.token(),
        outcome=stream.outcome,
        **shortfall,
    )
