"""The heads probe: how far the log reaches and how old the first unapplied event is, even while no projector lives."""

from services.heads.app import run

__all__ = ["run"]
