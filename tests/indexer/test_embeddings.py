"""Embeddings found again by content: exactly, per model and modality, whatever happened to the process."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from indexer.embeddings import Embedding, Embeddings

DIM = 8


def key(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def embedding(number: int) -> Embedding:
    vector_D = np.random.default_rng(number).standard_normal(DIM).astype(np.float32)
    return Embedding(vector_D, "audio/wav", number / 10, None, None, f"thumbnail {number}".encode())


def assert_same(found: Embedding | None, number: int) -> None:
    wanted = embedding(number)
    assert found is not None
    np.testing.assert_array_equal(found.vector_D, wanted.vector_D)
    assert found.vector_D.dtype == np.float32
    told = (found.mime, found.seconds, found.width, found.height, found.thumbnail)
    assert told == (wanted.mime, wanted.seconds, wanted.width, wanted.height, wanted.thumbnail)


def test_what_was_added_is_found_in_another_process_too(tmp_path: Path) -> None:
    with Embeddings(tmp_path, "speech", DIM) as kept:
        kept.add([(key(n), embedding(n)) for n in range(10)])
        assert_same(kept.get(key(3)), 3)
    with Embeddings(tmp_path, "speech", DIM) as again:
        assert len(again) == 10
        for number in range(10):
            assert_same(again.get(key(number)), number)
        assert again.get(key(10)) is None


def test_an_image_has_a_size_and_perhaps_no_thumbnail(tmp_path: Path) -> None:
    with Embeddings(tmp_path, "image", DIM) as kept:
        kept.add([(key(1), Embedding(np.ones(DIM, np.float32), "image/png", None, 640, 480, None))])
        found = kept.get(key(1))
    assert found is not None
    assert (found.seconds, found.width, found.height, found.thumbnail) == (None, 640, 480, None)


def test_modalities_and_models_are_apart(tmp_path: Path) -> None:
    with Embeddings(tmp_path / "a", "speech", DIM) as kept:
        kept.add([(key(1), embedding(1))])
    for folder, modality in (("a", "image"), ("b", "speech")):
        with Embeddings(tmp_path / folder, modality, DIM) as other:  # type: ignore[arg-type]
            assert other.get(key(1)) is None


def test_added_again_is_replaced(tmp_path: Path) -> None:
    with Embeddings(tmp_path, "speech", DIM) as kept:
        kept.add([(key(1), embedding(1))])
        kept.add([(key(1), embedding(2))])
        assert len(kept) == 1
        assert_same(kept.get(key(1)), 2)


def test_all_of_a_batch_or_nothing(tmp_path: Path) -> None:
    with Embeddings(tmp_path, "speech", DIM) as kept:
        bad = Embedding(np.ones(DIM, np.float32), None, None, None, None, None)  # type: ignore[arg-type]
        with pytest.raises(sqlite3.IntegrityError):
            kept.add([(key(1), embedding(1)), (key(2), bad)])
        assert kept.get(key(1)) is None


@pytest.mark.parametrize("column", ["vector", "thumbnail"])
def test_a_record_whose_bytes_changed_is_unknown(tmp_path: Path, column: str) -> None:
    with Embeddings(tmp_path, "speech", DIM) as kept:
        kept.add([(key(n), embedding(n)) for n in range(3)])
    changed = embedding(1).vector_D.tobytes()[:-1] + b"\x07" if column == "vector" else b"another"
    connection = sqlite3.connect(tmp_path / "speech.sqlite")
    connection.execute(
        f"UPDATE embeddings SET {column} = ? WHERE sha256 = ?", (changed, bytes.fromhex(key(1)))
    )
    connection.commit()
    connection.close()
    with Embeddings(tmp_path, "speech", DIM) as kept:
        assert kept.get(key(1)) is None
        assert_same(kept.get(key(2)), 2)


def test_vectors_of_another_width_are_unknown(tmp_path: Path) -> None:
    with Embeddings(tmp_path, "speech", DIM) as kept:
        kept.add([(key(1), embedding(1))])
    with Embeddings(tmp_path, "speech", DIM + 1) as kept:
        assert kept.get(key(1)) is None


@pytest.mark.parametrize("damage", ["garbage", "other format", "torn inside"])
def test_a_damaged_file_is_begun_anew_and_said(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "speech.sqlite"
    with Embeddings(tmp_path, "speech", DIM) as kept:
        kept.add([(key(n), embedding(n)) for n in range(200)])
    if damage == "garbage":
        path.write_bytes(b"no database " * 1000)
    elif damage == "other format":
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
    else:
        data = bytearray(path.read_bytes())
        data[4096:] = os.urandom(len(data) - 4096)  # every page but the first
        path.write_bytes(data)
    with Embeddings(tmp_path, "speech", DIM) as kept:
        assert kept.get(key(1)) is None
        kept.add([(key(1), embedding(1))])
        assert_same(kept.get(key(1)), 1)
        assert len(kept) == 1
    assert "its vectors are computed again" in caplog.text


def test_threads_look_up_at_once(tmp_path: Path) -> None:
    with Embeddings(tmp_path, "speech", DIM) as kept, ThreadPoolExecutor(8) as pool:
        kept.add([(key(n), embedding(n)) for n in range(100)])
        for number, found in enumerate(pool.map(kept.get, [key(n) for n in range(100)])):
            assert_same(found, number)


ADD_FOR_EVER = """
import sys
from pathlib import Path
from indexer.embeddings import Embeddings
from tests.indexer.test_embeddings import DIM, embedding, key

with Embeddings(Path(sys.argv[1]), "speech", DIM) as kept:
    number = len(kept)
    while True:
        kept.add([(key(n), embedding(n)) for n in range(number, number + 16)])
        number += 16
        print(number, flush=True)
"""


def test_what_add_returned_from_survives_kill_9(tmp_path: Path) -> None:
    random = np.random.default_rng()
    acknowledged = 0
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", ADD_FOR_EVER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        told = [process.stdout.readline()]
        time.sleep(float(random.uniform(0, 0.1)))
        process.send_signal(signal.SIGKILL)
        told += process.stdout.readlines()
        process.stdout.close()
        process.wait()
        acknowledged = int([line for line in told if line.endswith("\n")][-1])
        with Embeddings(tmp_path, "speech", DIM) as kept:
            # The batch under way may have come through or not, but never in part.
            assert len(kept) in (acknowledged, acknowledged + 16)
            for number in range(len(kept)):
                assert_same(kept.get(key(number)), number)
    assert acknowledged >= 4 * 16
