"""Chaos: writers, readers, a judge for every answer, and faults of every kind, all drawn from one seed."""
