"""What a process has of what it needs; apart from `web.status`, for the processes that serve nothing else."""

import msgspec


class Readiness(msgspec.Struct):
    """What a service has of what it needs: each dependency with "ok" or with why it is missing.

    `notes` are things worth knowing that do not keep the service from answering.
    """

    dependencies: dict[str, str] = {}
    notes: dict[str, str] = {}

    @property
    def missing(self) -> dict[str, str]:
        """The dependencies that are not there."""
        return {name: state for name, state in self.dependencies.items() if state != "ok"}
