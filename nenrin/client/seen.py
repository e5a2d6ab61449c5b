"""What a session has written and seen, as one version that only grows."""

import threading

from nenrin.client.errors import TopicRecreated
from schemas import versions
from schemas.errors import OtherIncarnation
from schemas.versions import Version


class Seen:
    """The merged version of a session. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._version = Version()

    @property
    def version(self) -> Version:
        """The least version that covers all of it."""
        return self._version

    @property
    def token(self) -> str | None:
        """The same as a token; None while it is nothing, which asks for nothing."""
        version = self._version
        return version.token() if version.offsets else None

    def cover(self, token: str) -> None:
        """Add what a token stands for. Raises `MalformedToken`, `TopicRecreated`."""
        more = versions.parse(token)
        with self._lock:
            try:
                self._version = versions.merge(self._version, more)
            except OtherIncarnation as error:
                raise TopicRecreated.seen(str(error)) from error

    def forget(self) -> None:
        """Begin with nothing."""
        with self._lock:
            self._version = Version()
