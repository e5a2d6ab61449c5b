"""Generations: each build of a projection is a schema of its own, with its own positions, parked events and digests."""
