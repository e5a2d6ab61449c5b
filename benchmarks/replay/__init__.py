"""Replay: how fast read models are rebuilt, in how much memory, and what searches notice of it."""
