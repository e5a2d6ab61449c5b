"""The projector: Faust agents that fold the log into the live generation of every projection."""

from services.projector.app import run

__all__ = ["run"]
