"""Messages between processes of ours over a socket of `socket.socketpair`: values, and the open files in them."""

import io
import os
import pickle
import socket
import struct
from typing import IO, Any

_HEAD = struct.Struct("!Q")
"""How many bytes a message has. The files come with it."""
_FILES = 16
"""At most so many."""


class _Pickler(pickle.Pickler):
    def __init__(self, out: IO[bytes]) -> None:
        super().__init__(out, pickle.HIGHEST_PROTOCOL)
        self.files: list[int] = []

    def persistent_id(self, value: Any) -> int | None:
        if not isinstance(value, io.BufferedRandom | io.BufferedReader):
            return None
        self.files.append(value.fileno())
        return len(self.files) - 1


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, files: list[int]) -> None:
        super().__init__(io.BytesIO(data))
        self._files = files

    def persistent_load(self, number: int) -> IO[bytes]:
        return os.fdopen(self._files[number], "rb")


def send(channel: socket.socket, message: Any) -> None:
    """Send a message. Files in it must be flushed; the sender closes its own ones. Raises `OSError`."""
    out = io.BytesIO()
    pickler = _Pickler(out)
    pickler.dump(message)
    data = out.getbuffer()
    if pickler.files:
        socket.send_fds(channel, [_HEAD.pack(len(data))], pickler.files)
    else:
        channel.sendall(_HEAD.pack(len(data)))
    channel.sendall(data)


def receive(channel: socket.socket) -> Any:
    """Wait for the next message. Raises `EOFError` when the other side has gone, or `OSError`."""
    head, files, _, _ = socket.recv_fds(channel, _HEAD.size, _FILES)
    for file in files:
        os.set_inheritable(file, False)
    head += _exactly(channel, _HEAD.size - len(head)) if head else b""
    if not head:
        raise EOFError("the other side has gone")
    return _Unpickler(_exactly(channel, *_HEAD.unpack(head)), files).load()


def _exactly(channel: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        if not (found := channel.recv(min(size - len(data), 2**20))):
            raise EOFError("the other side has gone")
        data += found
    return bytes(data)
