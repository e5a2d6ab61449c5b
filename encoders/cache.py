"""Vectors that were computed once, by what the model saw: token ids to the very bytes that went into the log.

Kept in one SQLite file, which any number of processes of a machine may share and which outlives them. It is only ever
a shortcut: whatever is wrong with it, the answer is "not known", and the text is encoded.
"""

import hashlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

from schemas.encoders import Encoder

OPEN_WITHIN = 5.0
"""Seconds; another process may just be making the file."""
PATIENCE = 50
"""Milliseconds to wait for another process that writes; after that, this one goes without."""
_AT_ONCE = 500
"""Keys in one statement."""
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_SCHEMA = """\
PRAGMA page_size = 8192;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
CREATE TABLE IF NOT EXISTS vectors (
    id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, vector BLOB NOT NULL, checksum BLOB NOT NULL
);
"""
# Nothing is ever waited for on the disk: after a power cut the file may be damaged, and then it begins anew.
_FIND = "SELECT key, vector, checksum FROM vectors WHERE key IN ({})"
_ADD = "INSERT OR REPLACE INTO vectors (key, vector, checksum) VALUES (?, ?, ?)"
_DROP_OLDEST = "DELETE FROM vectors WHERE id IN (SELECT id FROM vectors ORDER BY id LIMIT ?)"

log = structlog.get_logger()


class VectorCache:
    """The vectors of one encoder's network, whatever cuts its texts. Thread-safe; nothing here raises."""

    def __init__(self, path: Path, limit: int, encoder: Encoder) -> None:
        """Open or begin the file, which takes up to `limit` bytes: beyond that the oldest vectors are dropped."""
        self._path = path
        self._limit = limit
        network = f"{encoder.model}\n{encoder.revision}\n{encoder.pooling}"
        self._network = hashlib.blake2b(network.encode(), digest_size=32).digest()
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._begun_anew = False
        with self._careful():
            self._connection = self._open()

    def key(self, tokens: NDArray[np.int32]) -> bytes:
        """What a vector is a function of: the network, and the token ids that it sees. 128 bits."""
        return hashlib.blake2b(tokens.astype("<i4").tobytes(), digest_size=16, key=self._network).digest()

    def find(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """The vectors that are known; one whose bytes have changed since it was added is not."""
        found: dict[bytes, bytes] = {}
        with self._careful() as connection:
            if connection is None:
                return found
            for first in range(0, len(keys), _AT_ONCE):
                some = keys[first : first + _AT_ONCE]
                rows = connection.execute(_FIND.format(",".join("?" * len(some))), some)
                found.update((key, vector) for key, vector, checksum in rows if _is_intact(key, vector, checksum))
        return found

    def add(self, vectors: Mapping[bytes, bytes]) -> None:
        """Keep vectors; the oldest go where there are too many."""
        rows = [(key, vector, _checksum(key, vector)) for key, vector in vectors.items()]
        with self._careful() as connection:
            if rows and connection:
                with connection:
                    connection.execute("BEGIN IMMEDIATE")
                    connection.executemany(_ADD, rows)
                    if self._used(connection) > self._limit:
                        connection.execute(_DROP_OLDEST, (2 * len(rows),))

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._disconnect()

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=OPEN_WITHIN, isolation_level=None, check_same_thread=False)
        connection.text_factory = bytes  # there is no text in it, unless it is damaged
        connection.executescript(_SCHEMA)
        connection.execute(f"PRAGMA busy_timeout = {PATIENCE}")
        return connection

    @contextmanager
    def _careful(self) -> Iterator[sqlite3.Connection | None]:
        """The connection, if there is one, to one thread at a time; no error of it goes further."""
        with self._lock:
            try:
                yield self._connection
            except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
                self._failed(error)

    def _failed(self, error: Exception) -> None:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_BUSY and self._connection is not None:
            return
        self._disconnect()
        damaged = code in _DAMAGED or isinstance(error, UnicodeDecodeError)  # in what SQLite says of the damage
        if damaged and not self._begun_anew:
            self._begin_anew(error)
        else:
            log.warning("vectors are not reused: every text is encoded", file=str(self._path), reason=str(error))

    def _begin_anew(self, error: Exception) -> None:
        log.warning("the file of known vectors is damaged and begins anew", file=str(self._path), reason=str(error))
        self._begun_anew = True
        try:
            for suffix in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            self._connection = self._open()
        except (sqlite3.Error, OSError) as again:
            self._failed(again)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @staticmethod
    def _used(connection: sqlite3.Connection) -> int:
        """Bytes of the file that hold something."""
        pages, free, size = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size


def _is_intact(key: object, vector: object, checksum: object) -> bool:
    """Whether a row is as it was added; a damaged one may hold anything: numbers, or nothing."""
    return isinstance(key, bytes) and isinstance(vector, bytes) and checksum == _checksum(key, vector)


def _checksum(key: bytes, vector: bytes) -> bytes:
    return hashlib.blake2b(key + vector, digest_size=8).digest()
