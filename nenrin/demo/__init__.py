"""`nenrin demo`: the main job on real text, in about two minutes, with everything that it says checked."""

from nenrin.demo.playing import run

__all__ = ["run"]
