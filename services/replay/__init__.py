"""Replay: read models built anew from the log, proven to be what they stand for, and put in each other's place."""
