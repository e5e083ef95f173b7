"""Vectors in a real, small Milvus: the same neighbours as in files; what is wrong with it is one sentence."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from indexer import ann
from indexer.ann import AnnError
from indexer.milvus import (
    MAX_K,
    Milvus,
    MilvusIndex,
    MilvusUnavailable,
    checked_uri,
    connection,
)
from tests.fixtures.milvus_server import milvus_server

DIM = 24


def vectors_of(count: int, seed: int = 0, dim: int = DIM) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)


@pytest.fixture
def milvus(milvus_uri: str) -> Iterator[Milvus]:
    held = Milvus(milvus_uri)
    yield held
    held.close()


def made(milvus: Milvus, name: str, vectors_ND: NDArray[np.float32]) -> MilvusIndex:
    milvus.fill(name, vectors_ND, "flat")
    return MilvusIndex(milvus.uri, name)


@pytest.mark.parametrize("normalised", [False, True])
def test_it_finds_what_faiss_finds(milvus: Milvus, normalised: bool) -> None:
    vectors_ND, queries_QD = vectors_of(700), vectors_of(40, seed=1)
    if normalised:
        vectors_ND /= np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    index, truth = made(milvus, f"oracle_{normalised}", vectors_ND), ann.build("flat", vectors_ND)
    assert (index.count, index.dim) == (truth.count, truth.dim) == (700, DIM)
    for k in (1, 10, 700):
        scores_QK, rows_QK = index.search(queries_QD, k)
        true_QK, true_rows_QK = truth.search(queries_QD, k)
        assert scores_QK.dtype == np.float32
        assert rows_QK.dtype == np.int64
        np.testing.assert_allclose(scores_QK, true_QK, atol=1e-5)
        if k < 700:  # among all of them some lie so close that the last digit decides
            np.testing.assert_array_equal(rows_QK, true_rows_QK)
        own_QK = np.einsum("qkd,qd->qk", vectors_ND[rows_QK], queries_QD)
        np.testing.assert_allclose(own_QK, true_QK, atol=1e-5)
    assert ann.measured_recall(index, vectors_ND, queries_QD) == 1.0
    np.testing.assert_array_equal(index.vector(699), vectors_ND[699])
    with pytest.raises(AnnError, match="Row 700 was asked for; the index has 700 rows"):
        index.vector(700)
    index.close()


def test_blocks_make_no_difference(milvus: Milvus, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors_ND = vectors_of(103)
    whole = milvus.fill("whole", vectors_ND, "flat")
    monkeypatch.setattr(connection, "BLOCK_BYTES", 10 * DIM * 4)
    assert milvus.fill("parts", vectors_ND, "flat") == whole
    for name in ("whole", "parts"):
        index = MilvusIndex(milvus.uri, name)
        assert index.digest() == whole
        np.testing.assert_array_equal(
            index.search(vectors_ND, 1)[1], ann.build("flat", vectors_ND).search(vectors_ND, 1)[1]
        )
        index.close()


def test_k_and_queries_are_cut_to_what_is_there(milvus: Milvus) -> None:
    index = made(milvus, "few", vectors_of(3))
    scores_QK, rows_QK = index.search(vectors_of(2, seed=1), 10)
    assert scores_QK.shape == rows_QK.shape == (2, 3)
    assert index.search(vectors_of(0), 10)[1].shape == (0, 3)
    index.count = MAX_K + 2  # as if it held so many
    with pytest.raises(AnnError, match=f"at most {MAX_K}"):
        index.search(vectors_of(1), MAX_K + 1)
    index.close()


def test_an_empty_collection_answers_with_nothing(milvus: Milvus) -> None:
    index = made(milvus, "empty", vectors_of(0))
    assert (index.count, index.dim) == (0, DIM)
    scores_QK, rows_QK = index.search(vectors_of(2), 5)
    assert scores_QK.shape == rows_QK.shape == (2, 0)
    index.close()


def test_what_is_no_vector_never_gets_there(milvus: Milvus) -> None:
    index = made(milvus, "checked", vectors_of(5))
    bad_ND = vectors_of(5)
    bad_ND[3, 7] = np.nan
    for queries, told in (
        (bad_ND, "Vector 3 holds NaN"),
        (vectors_of(2, dim=DIM + 1), rf"takes \[count, {DIM}\]"),
        (vectors_of(2)[0], rf"takes \[count, {DIM}\]"),
    ):
        with pytest.raises(AnnError, match=told):
            index.search(queries, 1)
    with pytest.raises(AnnError, match="k is 0"):
        index.search(vectors_of(1), 0)
    index.close()
    with pytest.raises(AnnError, match="Vector 3 holds NaN"):
        milvus.fill("never", bad_ND, "flat")


def test_a_closed_index_says_so(milvus: Milvus) -> None:
    index = made(milvus, "closed", vectors_of(5))
    index.close()
    index.close()
    with pytest.raises(AnnError, match="was closed"):
        index.search(vectors_of(1), 1)


def test_a_collection_that_is_not_there(milvus: Milvus) -> None:
    with pytest.raises(AnnError, match="has no collection nowhere") as told:
        MilvusIndex(milvus.uri, "nowhere")
    assert not isinstance(told.value, MilvusUnavailable)
    milvus.drop("nowhere")  # no fault


def test_a_server_that_goes_and_comes_back(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "indexer.milvus")
    with milvus_server(tmp_path) as server:
        milvus = Milvus(server.uri)
        index = made(milvus, "here", vectors_of(20))
        _, rows_QK = index.search(vectors_of(20), 1)
        server.stop()
        began = time.monotonic()
        for ask in (lambda: index.search(vectors_of(1), 1), lambda: index.vector(1)):
            with pytest.raises(MilvusUnavailable, match="does not answer: try again shortly") as told:
                ask()
            assert "127.0.0.1" not in str(told.value)
        with pytest.raises(
            MilvusUnavailable, match=rf"{server.uri} did not connect within 5 s \(no connection\)"
        ):
            Milvus(server.uri)
        with pytest.raises(MilvusUnavailable, match="did not list its collections"):
            milvus.names()
        assert time.monotonic() - began < 30
        server.start()
        while True:
            assert time.monotonic() - began < 60
            try:
                assert index.search(vectors_of(20), 1)[1].tolist() == rows_QK.tolist()
                break
            except MilvusUnavailable:
                time.sleep(0.2)
        assert [line.levelname for line in caplog.records] == ["WARNING", "INFO"]
        index.close()
        milvus.close()
    assert "Traceback" not in capfd.readouterr().err


def test_a_server_that_never_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pymilvus", reason="the extra milvus is not installed")
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(MilvusUnavailable, match=r"did not connect within 0\.5 s"):
            Milvus(f"milvus://127.0.0.1:{silent.getsockname()[1]}")


@pytest.mark.parametrize(
    "uri",
    ["milvus://a:1", "milvus://milvus.example.org:19530", "milvus+https://a-b:443", "milvus://[::1]:19530"],
)
def test_addresses(uri: str) -> None:
    assert checked_uri(uri) == checked_uri(f"{uri}/") == uri


@pytest.mark.parametrize(
    "uri",
    [
        "milvus",
        "faiss2",
        "http://a:1",
        "milvus://a",
        "milvus://a:99999",
        "milvus://a:1/db",
        "milvus://a:1?x=1",
        "",
    ],
)
def test_what_is_no_address(uri: str) -> None:
    with pytest.raises(AnnError, match=r"milvus://HOST:PORT.*SAYSEE_MILVUS_TOKEN"):
        checked_uri(uri)


def test_a_secret_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(AnnError, match="an address with a secret in it") as told:
        checked_uri("milvus://root:hunter2@a:19530")
    assert "hunter2" not in str(told.value)


def test_serving_from_files_imports_none_of_it() -> None:
    script = "import sys, service.app, indexer.commands; sys.exit('pymilvus' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_without_pymilvus_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(MilvusUnavailable, match=r"pip install 'saysee\[milvus\]'"):
        Milvus("milvus://127.0.0.1:1")
