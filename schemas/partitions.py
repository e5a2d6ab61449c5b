"""Which partition a key belongs to: murmur2, as the Java client does.

Algorithm: Austin Appleby's MurmurHash2 (32 bit) with Kafka's seed; the partition is the positive part of the hash
modulo the number of partitions (org.apache.kafka.common.utils.Utils.murmur2, librdkafka's murmur2_random).
"""

import struct

SEED = 0x9747B28C
M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """The unsigned 32-bit murmur2 hash of `data`."""
    length = len(data)
    h = SEED ^ length
    for word in struct.unpack_from(f"<{length >> 2}I", data):
        k = (word * M) & _MASK
        h = ((h * M) ^ ((k ^ (k >> 24)) * M)) & _MASK
    if tail := data[length & ~3 :]:
        h = ((h ^ int.from_bytes(tail, "little")) * M) & _MASK
    h ^= h >> 13
    h = (h * M) & _MASK
    return h ^ (h >> 15)


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of `key` in a topic of `partitions` partitions."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
