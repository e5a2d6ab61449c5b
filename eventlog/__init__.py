"""The Kafka edge that processes share: reading from positions that live elsewhere, tails, and topics.

Knows nothing of Postgres, HTTP or models.
"""
