"""Record batches made by hand, byte by byte: what no client would send, and a broker takes all the same."""

import gzip
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cramjam
from aiokafka.client import AIOKafkaClient
from aiokafka.codec import snappy_encode
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition


def _lz4(plain: bytes) -> bytes:
    compressor = cramjam.lz4.Compressor(level=9, content_checksum=False, block_linked=False)
    compressor.compress(plain)
    return bytes(compressor.finish())


Headers = Sequence[tuple[bytes, bytes | None]]

CODECS: dict[int, Callable[[bytes], bytes]] = {
    0: bytes,
    1: gzip.compress,
    2: snappy_encode,
    3: _lz4,
    4: lambda plain: bytes(cramjam.zstd.compress(plain)),
}


@dataclass(frozen=True)
class Raw:
    """A record, its headers' names as bytes; `delta` is the place in its batch that it claims to have."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    attributes: int = 0
    delta: int | None = None
    time: int = 0


def batch(records: Sequence[Raw], codec: int = 0, first_time: int = 0) -> bytes:
    """A batch of format 2, its checksum right."""
    return sealed(
        b"".join(_record(number, each) for number, each in enumerate(records)), len(records), codec, first_time
    )


def sealed(plain: bytes, count: int, codec: int = 0, first_time: int = 0) -> bytes:
    """The batch around the bytes of `count` records."""
    head = struct.pack(">hiqqqhii", codec, count - 1, first_time, first_time, -1, -1, -1, count)
    rest = head + CODECS[codec](plain)
    return struct.pack(">qiibI", 0, 9 + len(rest), -1, 2, calc_crc32c(rest)) + rest


def _record(number: int, raw: Raw) -> bytes:
    headers = b"".join(_field(name) + _field(value) for name, value in raw.headers)
    delta = number if raw.delta is None else raw.delta
    body = bytes([raw.attributes]) + varint(raw.time) + varint(delta) + _field(raw.key) + _field(raw.value)
    return _field(body + varint(len(raw.headers)) + headers)


def _field(content: bytes | None) -> bytes:
    return varint(-1) if content is None else varint(len(content)) + content


def varint(number: int) -> bytes:
    """A zigzag number of at most 64 bits."""
    left = ((number << 1) ^ (number >> 63)) & (2**64 - 1)
    out = bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*out, left])


class Hand:
    """Sends batches as they are."""

    def __init__(self, kafka: str, topic: str = "documents") -> None:
        self._client = AIOKafkaClient(bootstrap_servers=kafka)
        self._topic = topic

    async def __aenter__(self) -> "Hand":
        await self._client.bootstrap()
        await self._client.set_topics([self._topic])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def send(self, partition: int, raw: bytes) -> int | None:
        """The offset of the batch's first record; None where the broker refuses it."""
        leader = self._client.cluster.leader_for_partition(TopicPartition(self._topic, partition))
        request = ProduceRequest(None, -1, 30_000, [(self._topic, [(partition, raw)])])
        ((_, ((_, error, offset, *_),)),) = (await self._client.send(leader, request)).topics
        return None if error else int(offset)
