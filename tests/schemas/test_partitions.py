"""Partitions: murmur2 as every other Kafka client computes it."""

from aiokafka.partitioner import murmur2 as peer
from hypothesis import given
from hypothesis import strategies as st

from schemas.partitions import murmur2, partition_of


@given(st.binary(max_size=600))
def test_the_hash_is_that_of_another_client(key: bytes) -> None:
    """A key lands where any Java-compatible producer would put it, whatever its length."""
    assert murmur2(key) == peer(key) & 0xFFFFFFFF


def test_known_values_of_kafka_s_own_test_suite() -> None:
    """The vectors of org.apache.kafka.common.utils.UtilsTest, read as unsigned."""
    assert murmur2(b"21") == -973932308 & 0xFFFFFFFF
    assert murmur2(b"foobar") == -790332482 & 0xFFFFFFFF
    assert murmur2(b"a-little-bit-long-string") == -985981536 & 0xFFFFFFFF


@given(st.binary(max_size=40), st.integers(1, 500))
def test_a_partition_exists(key: bytes, partitions: int) -> None:
    """The partition is always one of the topic's."""
    assert 0 <= partition_of(key, partitions) < partitions
