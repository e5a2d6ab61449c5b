"""Refusals as RFC 9457 problems: what is wrong, in which field, and what to do next. Never a traceback, never HTML."""

from collections.abc import Mapping
from typing import Any

import msgspec
import structlog
from litestar.exceptions import (
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)
from litestar.openapi import ResponseSpec
from litestar.plugins.problem_details import ProblemDetailsConfig, ProblemDetailsException, ProblemDetailsPlugin

from schemas.errors import (
    DatabaseAway,
    DataRefused,
    GenerationMissing,
    GenerationOutdated,
    InvalidInput,
    LogAway,
    MalformedToken,
    NewerSchema,
    OtherIncarnation,
)

BODY_LIMIT = 4 * 1024 * 1024
RETRY_AFTER = 1
"""Seconds after which a caller may try again when something that we need is away."""

log = structlog.get_logger()


class Problem(msgspec.Struct, omit_defaults=True):
    """The body of a refusal; more members may follow."""

    type: str
    title: str
    status: int
    detail: str
    field: str = ""


def problem(
    status: int, slug: str, title: str, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any
) -> ProblemDetailsException:
    """A problem to raise. `members` are its extension members, as `field`, `outcome`, `shortfall` or `projection`."""
    return ProblemDetailsException(
        status_code=status,
        type_=f"/problems/{slug}",
        title=title,
        detail=detail,
        headers=dict(headers or {}),
        extra=members,
    )


def invalid(error: InvalidInput) -> ProblemDetailsException:
    """Input that breaks the contract: 422, or 400 where the input as a whole cannot be read."""
    if not error.field:
        return problem(400, "unreadable-body", "The body cannot be read", error.message, field="body")
    return problem(422, "invalid-input", "Invalid input", str(error), field=error.field)


def malformed_token(error: MalformedToken) -> ProblemDetailsException:
    """A version token that no answer of ours can have held."""
    return problem(400, "malformed-token", "Malformed version token", error.message, field=error.field)


def other_incarnation(error: OtherIncarnation) -> ProblemDetailsException:
    """A version of a topic that has since been recreated."""
    return problem(410, "other-incarnation", "The topic was recreated", str(error), field="Nenrin-At-Least")


def data_refused(error: DataRefused) -> ProblemDetailsException:
    """Values that passed our checks, and that Postgres cannot take all the same."""
    return problem(422, "invalid-input", "Invalid input", f"Postgres refuses this: {error}", field="body")


def log_away(error: LogAway) -> ProblemDetailsException:
    """Kafka did not acknowledge a write; `outcome` says what that means for it."""
    return unavailable("log-away", "Kafka did not acknowledge", str(error), outcome=error.outcome)


def database_away(error: DatabaseAway) -> ProblemDetailsException:
    """Postgres cannot be reached."""
    log.warning("database away", error=str(error))
    detail = "Try again in a moment; /readyz says when."
    if error.advice:
        detail = f"{error.advice[:1].upper()}{error.advice[1:]}, then it comes back by itself."
    return unavailable("database-away", "Postgres cannot be reached", detail)


def unavailable(slug: str, title: str, detail: str, **members: Any) -> ProblemDetailsException:
    """Something that we need is away for now: 503 with `Retry-After`."""
    return problem(503, slug, title, detail, headers={"Retry-After": str(RETRY_AFTER)}, **members)


def refused(error: HTTPException) -> ProblemDetailsException:
    """What Litestar itself refuses, in our words."""
    if isinstance(error, NotFoundException):
        return problem(404, "no-such-path", "No such path", "Nothing is served at this path; /docs lists what is.")
    if isinstance(error, MethodNotAllowedException):
        return _method_not_allowed(error)
    if isinstance(error, ValidationException):
        return _invalid_parameter(error)
    if error.status_code >= 500:
        return internal(error)
    return problem(error.status_code, "refused", "Refused", error.detail, headers=error.headers)


def _method_not_allowed(error: MethodNotAllowedException) -> ProblemDetailsException:
    allowed = (error.headers or {}).get("allow", "")
    return problem(
        405, "method-not-allowed", "Method not allowed", f"This path answers to {allowed}.", headers={"Allow": allowed}
    )


def _invalid_parameter(error: ValidationException) -> ProblemDetailsException:
    found = error.extra[0] if isinstance(error.extra, list) and error.extra else {}
    field = str(found.get("key", "")) if isinstance(found, dict) else ""
    what = str(found.get("message", error.detail)) if isinstance(found, dict) else error.detail
    return problem(422, "invalid-input", "Invalid input", f"{field}: {what}" if field else what, field=field)


def not_installed(error: GenerationMissing) -> ProblemDetailsException:
    """A database in which `nenrin init` hasn't been yet, or from which a generation was just dropped."""
    return unavailable("not-installed", "The projection is not there yet", f"{error}.")


def outdated(error: GenerationOutdated) -> ProblemDetailsException:
    """Tables that another version of Nenrin made, and that lack what this one reads."""
    return unavailable("generation-outdated", "Another version of Nenrin made the projection", str(error))


def newer_schema(error: NewerSchema) -> ProblemDetailsException:
    """A database that a later version of Nenrin has migrated."""
    return unavailable("newer-schema", "A later version of Nenrin is installed there", f"{error}.")


def too_large(field: str, detail: str) -> ProblemDetailsException:
    """More than we take."""
    return problem(413, "too-large", "Too large", detail, field=field)


def internal(error: Exception) -> ProblemDetailsException:
    """A fault of ours: the log has the traceback, the caller gets none of it."""
    log.error("unexpected error", exc_info=error)
    return problem(
        500, "internal-error", "Internal error", "A fault of this service, not of the request; its log says more."
    )


def plugin() -> ProblemDetailsPlugin:
    """The Litestar plugin that turns every exception into a problem."""
    return ProblemDetailsPlugin(
        ProblemDetailsConfig(
            exception_to_problem_detail_map={
                InvalidInput: invalid,
                MalformedToken: malformed_token,
                OtherIncarnation: other_incarnation,
                LogAway: log_away,
                DatabaseAway: database_away,
                DataRefused: data_refused,
                GenerationMissing: not_installed,
                GenerationOutdated: outdated,
                NewerSchema: newer_schema,
                HTTPException: refused,
                Exception: internal,
            }
        )
    )


def documented(*statuses: int) -> dict[int, ResponseSpec]:
    """The problems that a call may answer with, for its `responses` in the OpenAPI document."""
    return {
        status: ResponseSpec(
            Problem, generate_examples=False, description="A problem (RFC 9457)", media_type="application/problem+json"
        )
        for status in statuses
    }
