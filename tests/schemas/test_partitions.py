"""Partitions: murmur2 as every other Kafka client computes it."""

from aiokafka.partitioner import murmur2 as peer
from hypothesis import given
from hypothesis import strategies as st

from schemas.homes import LONG, homes
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


@given(st.lists(st.none() | st.binary(max_size=2 * LONG), max_size=20), st.integers(1, 500))
def test_of_many_keys_at_once_each_has_the_partition_that_it_has_alone(
    keys: list[bytes | None], partitions: int
) -> None:
    """Empty ones, long ones, and records without a key beside each other."""
    assert homes(keys, partitions) == [partition_of(key or b"", partitions) for key in keys]
