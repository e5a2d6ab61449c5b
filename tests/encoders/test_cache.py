"""Vectors that are kept: exactly those that were added, or none."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from encoders.cache import VectorCache
from schemas.encoders import MINILM

MIB = 1024 * 1024
Open = Callable[..., VectorCache]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "vectors.sqlite"


@pytest.fixture
def opened(path: Path) -> Iterator[Open]:
    """Opens caches on one file, and closes them."""
    caches: list[VectorCache] = []

    def opened(limit: int = 100 * MIB, encoder: object = MINILM) -> VectorCache:
        caches.append(VectorCache(path, limit, encoder))  # type: ignore[arg-type]
        return caches[-1]

    yield opened
    for cache in caches:
        cache.close()


def some(cache: VectorCache, first: int, count: int) -> dict[bytes, bytes]:
    """Keys of different texts, and bytes in the place of their vectors."""
    return {
        cache.key(np.arange(number, number + 9, dtype=np.int32)): os.urandom(768)
        for number in range(first, first + count)
    }


def test_what_was_added_is_found_again_bit_for_bit(opened: Open) -> None:
    """By the same process and by one that comes later; what was never added is not found."""
    cache = opened()
    vectors = some(cache, 0, 1200)
    cache.add(vectors)
    strangers = list(some(cache, 5000, 50))
    assert cache.find([*vectors, *strangers]) == vectors
    cache.close()
    assert opened().find([*vectors, *strangers]) == vectors


def test_a_vector_belongs_to_a_network_not_to_how_texts_are_cut(opened: Open) -> None:
    """Other weights or another pooling know nothing of it; another chunker that gives the same tokens does."""
    tokens = np.array([2129, 2214], dtype=np.int32)
    key = opened().key(tokens)
    assert opened(encoder=replace(MINILM, chunker=99, overlap=0)).key(tokens) == key
    assert opened(encoder=replace(MINILM, revision="0" * 16)).key(tokens) != key
    assert opened(encoder=replace(MINILM, pooling="cls")).key(tokens) != key
    assert opened().key(tokens[::-1]) != key


@pytest.mark.parametrize("column", ["key", "vector", "checksum"])
def test_a_flipped_bit_is_a_miss(opened: Open, path: Path, column: str) -> None:
    """Whichever byte of an entry the disk changes: no wrong vector comes out, and the right one can be added again."""
    cache = opened()
    vectors = some(cache, 0, 3)
    cache.add(vectors)
    connection = sqlite3.connect(path)
    [value] = connection.execute(f"SELECT {column} FROM vectors WHERE id = 2").fetchone()
    connection.execute(f"UPDATE vectors SET {column} = ? WHERE id = 2", (bytes([value[0] ^ 4]) + value[1:],))
    connection.commit()
    connection.close()
    key = list(vectors)[1]
    assert cache.find(list(vectors)) == {kept: vector for kept, vector in vectors.items() if kept != key}
    cache.add({key: vectors[key]})
    assert cache.find(list(vectors)) == vectors


@pytest.mark.parametrize("value", ["NULL", "7", "0.5", "'text'", "CAST(x'ff00' AS TEXT)", "x''", "zeroblob(200)"])
@pytest.mark.parametrize("column", ["key", "vector", "checksum"])
def test_an_entry_that_became_anything_else_is_a_miss(opened: Open, path: Path, column: str, value: str) -> None:
    """A flipped bit in a row's header makes a number, a text or nothing of a value; the others are still found."""
    cache = opened()
    vectors = some(cache, 0, 3)
    cache.add(vectors)
    connection = sqlite3.connect(path)
    connection.executescript(
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, ' NOT NULL', '')"
        " WHERE name = 'vectors'; PRAGMA writable_schema = RESET"
    )
    connection.execute(f"UPDATE vectors SET {column} = {value} WHERE id = 2")
    connection.commit()
    connection.close()
    key = list(vectors)[1]
    assert cache.find(list(vectors)) == {kept: vector for kept, vector in vectors.items() if kept != key}
    cache.add({key: vectors[key]})
    assert cache.find(list(vectors)) == vectors


def test_damage_that_cannot_be_put_in_words_begins_anew(opened: Open, path: Path) -> None:
    """SQLite quotes the damaged schema in its error, bytes and all."""
    opened().close()
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE vectors", b"CREATE TABLE\xa0vectors"))
    cache = opened()
    vectors = some(cache, 0, 3)
    cache.add(vectors)
    assert cache.find(list(vectors)) == vectors


def test_the_oldest_are_dropped_beyond_the_limit(opened: Open, path: Path) -> None:
    """The file stays about as large as it may be, and holds the newest."""
    cache = opened(limit=MIB)
    batches = [some(cache, 1000 * number, 100) for number in range(30)]
    for batch in batches:
        cache.add(batch)
    assert path.stat().st_size < 1.3 * MIB
    assert cache.find(list(batches[0])) == {}
    assert cache.find(list(batches[-1])) == batches[-1]


def test_two_embedders_share_a_file(opened: Open) -> None:
    """What one has encoded the other need not."""
    one, two = opened(), opened()
    for number in range(10):
        writer, reader = (one, two) if number % 2 else (two, one)
        vectors = some(writer, 100 * number, 20)
        writer.add(vectors)
        assert reader.find(list(vectors)) == vectors


def test_another_writer_is_not_waited_for(opened: Open, path: Path) -> None:
    """While the file is locked vectors are found still, and new ones are let go."""
    cache = opened()
    vectors, others = some(cache, 0, 5), some(cache, 100, 5)
    cache.add(vectors)
    locking = sqlite3.connect(path, isolation_level=None)
    locking.execute("BEGIN EXCLUSIVE")
    began = time.process_time()
    cache.add(others)
    assert cache.find(list(vectors)) == vectors
    assert time.process_time() - began < 0.5
    locking.execute("ROLLBACK")
    locking.close()
    assert cache.find(list(others)) == {}
    cache.add(others)
    assert cache.find(list(others)) == others


def test_a_damaged_file_begins_anew(opened: Open, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever lies there in its place: one line in the log, nothing found, and the next vectors are kept."""
    path.parent.mkdir()
    path.write_bytes(b"not a database " * 5000)
    cache = opened()
    vectors = some(cache, 0, 5)
    assert cache.find(list(vectors)) == {}
    cache.add(vectors)
    assert opened().find(list(vectors)) == vectors
    assert capsys.readouterr().out.count("begins anew") == 1


def test_a_file_damaged_while_in_use_gives_no_wrong_vector(opened: Open, path: Path) -> None:
    """Bytes overwritten under a running process are found out, and it goes on."""
    cache = opened()
    vectors = some(cache, 0, 2000)
    cache.add(vectors)
    cache.close()
    with path.open("r+b") as file:
        for at in range(8192, path.stat().st_size, 3 * 8192):
            file.seek(at)
            file.write(os.urandom(4000))
    cache = opened()
    for key in vectors:
        assert cache.find([key]) in ({}, {key: vectors[key]})
    cache.add(vectors)
    assert opened().find(list(vectors)[:10]).items() <= vectors.items()


def test_without_a_place_nothing_is_kept(opened: Open, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that can't be made: one line in the log, and every text is encoded."""
    path.parent.write_text("a file where the folder would be")
    cache = opened()
    vectors = some(cache, 0, 5)
    cache.add(vectors)
    assert cache.find(list(vectors)) == {}
    assert capsys.readouterr().out.count("vectors are not reused") == 1


def test_a_full_disk_ends_reuse_and_nothing_else(opened: Open, capsys: pytest.CaptureFixture[str]) -> None:
    """SQLite's own error for it, once: after that no vector is looked for."""
    cache = opened()
    assert cache._connection is not None
    cache._connection.execute("PRAGMA max_page_count = 10")
    for number in range(3):
        cache.add(some(cache, 100 * number, 100))
    assert cache.find(list(some(cache, 0, 1))) == {}
    assert capsys.readouterr().out.count("vectors are not reused") == 1
