"""What both sessions are made of: everything about a call but the waiting for its answer."""

import ssl
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

import httpx

from nenrin.client import conditions, endpoints
from nenrin.client.calls import Call, Service
from nenrin.client.errors import NoStack, Problem, Unreachable
from nenrin.client.methods import Methods
from nenrin.client.seen import Seen
from schemas.versions import Version

T = TypeVar("T")
H = TypeVar("H", bound=httpx.Client | httpx.AsyncClient)

LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=100, keepalive_expiry=60)


@cache
def certificates() -> ssl.SSLContext:
    """Those that httpx trusts, read once for all sessions: it takes 35 ms, so that a session a request costs little."""
    return httpx.create_ssl_context()


class Core(Methods, Generic[H]):
    """Builds requests, reads answers, and remembers what they have shown."""

    def __init__(  # noqa: PLR0913  (the options of a session)
        self,
        command: str | None,
        query: str | None,
        *,
        state: Path | str | None,
        token: str | None,
        wait: float,
        retry_for: float,
        timeout: float,
        http: H,
    ) -> None:
        found = endpoints.find(command, query, state)
        self._urls = {Service.COMMAND: found.command, Service.QUERY: found.query}
        self._wait = wait
        self._retry_for = retry_for
        self._timeout = timeout
        self._http = http
        self._seen = Seen()
        if token is not None:
            self.cover(token)

    @property
    def token(self) -> str:
        """Everything that this session wrote and saw, for another session to go on from."""
        return self._seen.version.token()

    @property
    def version(self) -> Version:
        """The same, as positions."""
        return self._seen.version

    def cover(self, token: str) -> None:
        """Go on from another session's token as well. Raises `MalformedToken`, `TopicRecreated`."""
        self._seen.cover(token)

    def forget(self) -> None:
        """Begin with nothing, as a new session does: after `TopicRecreated`, say."""
        self._seen.forget()

    def _request(self, call: Call[Any]) -> httpx.Request:
        headers = [] if call.content_type is None else [("content-type", call.content_type)]
        if call.conditions is not None:
            headers.extend(conditions.headers(call.conditions, self._seen.token, self._wait))
        service = self._urls[call.service]
        if not service:
            raise NoStack(f"this session knows no {call.service} service: give its URL as `{call.service}`")
        return self._http.build_request(
            call.method, service + call.path, content=call.content, headers=headers, timeout=self._timeouts(call)
        )

    def _timeouts(self, call: Call[Any]) -> httpx.Timeout:
        waits = 0.0 if call.conditions is None else conditions.patience(call.conditions, self._wait)
        longest = self._timeout if call.longest is None else call.longest
        # no limit on the way to a connection: the queue is one's own, and the other limits keep it moving
        return httpx.Timeout(self._timeout, read=longest + waits, pool=None)

    def _answer(self, call: Call[T], response: httpx.Response) -> T:
        """What a call was answered with; the session covers it from now on. Raises the problems of `errors`."""
        token = response.headers.get("nenrin-version")
        try:
            answer = call.read(response.status_code, response.content, response.headers.get("retry-after"))
        except Problem as problem:
            self._remember(token or problem.details.version)
            raise
        self._remember(token or getattr(answer, "version", None))
        return answer

    def _remember(self, token: str | None) -> None:
        if token is not None:
            self._seen.cover(token)

    def _unreachable(self, call: Call[Any], error: httpx.HTTPError) -> Unreachable:
        return Unreachable(
            f"the {call.service} service at {self._urls[call.service]} does not answer"
            f" ({str(error) or type(error).__name__}): is the stack still running?"
        )
