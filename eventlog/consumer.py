"""aiokafka's consumer, reading every batch that a broker accepts."""

import aiokafka
from aiokafka.consumer import fetcher

from eventlog.batches import Batches

# Its fetcher makes these by this name, and offers no other place to say how.
fetcher.MemoryRecords = Batches


class Consumer(aiokafka.AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka publishes no types
    """For all that we read: nothing that a producer can send makes it raise, or read what isn't there."""
