"""Tests of what operators do about parked events."""
