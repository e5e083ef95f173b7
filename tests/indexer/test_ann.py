"""Search against the obvious: a matrix product and a sort; and what must never reach FAISS."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from indexer import ann


def vectors(count: int, dim: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)


def obvious(vectors_ND: NDArray[np.float32], queries_QD: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """The k best scores of each query, best first."""
    return np.sort(queries_QD @ vectors_ND.T, axis=1)[:, ::-1][:, :k]


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 60),
    dim=st.integers(1, 9),
    queries=st.integers(0, 5),
    k=st.integers(1, 70),
    seed=st.integers(0, 99),
)
def test_flat_is_the_matrix_product_sorted(count: int, dim: int, queries: int, k: int, seed: int) -> None:
    vectors_ND, queries_QD = vectors(count, dim, seed), vectors(queries, dim, seed + 1)
    index = ann.build("flat", vectors_ND)
    scores_QK, rows_QK = index.search(queries_QD, k)
    width = min(k, count)
    assert scores_QK.shape == rows_QK.shape == (queries, width)
    np.testing.assert_allclose(scores_QK, obvious(vectors_ND, queries_QD, k), rtol=1e-4, atol=1e-5)
    for query_D, scores_K, rows_K in zip(queries_QD, scores_QK, rows_QK, strict=True):
        assert len(set(rows_K.tolist())) == width
        np.testing.assert_allclose(vectors_ND[rows_K] @ query_D, scores_K, rtol=1e-4, atol=1e-5)


def test_exact_search_over_several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ann, "ADD_BLOCK", 7)
    vectors_ND, queries_QD = vectors(100, 5), vectors(4, 5, 1)
    scores_QK, rows_QK = ann.exact_search(vectors_ND, queries_QD, 12)
    np.testing.assert_allclose(scores_QK, obvious(vectors_ND, queries_QD, 12), rtol=1e-5)
    np.testing.assert_allclose(
        np.einsum("qkd,qd->qk", vectors_ND[rows_QK], queries_QD), scores_QK, rtol=1e-5, atol=1e-6
    )
    built_scores_QK, _ = ann.build("flat", vectors_ND).search(queries_QD, 12)
    np.testing.assert_allclose(built_scores_QK, scores_QK, rtol=1e-5)


def test_threads_at_once_get_what_one_gets() -> None:
    index = ann.build("flat", vectors(3000, 32))
    queries = [vectors(1 + n % 3, 32, n) for n in range(80)]
    one_by_one = [index.search(query, 10) for query in queries]
    with ThreadPoolExecutor(8) as pool:
        at_once = list(pool.map(lambda query: index.search(query, 10), queries))
    for (scores, rows), (other_scores, other_rows) in zip(one_by_one, at_once, strict=True):
        np.testing.assert_array_equal(rows, other_rows)
        np.testing.assert_array_equal(scores, other_scores)


@pytest.mark.parametrize(
    ("make", "k", "says"),
    [
        (lambda: vectors(1, 4), 0, "k is 0"),
        (lambda: vectors(1, 4), -3, "k is -3"),
        (lambda: vectors(1, 5), 1, r"shape \[1, 5\]; this index takes \[count, 4\]"),
        (lambda: vectors(1, 4)[0], 1, r"shape \[4\]"),
        (lambda: np.array([[1, 2, 3, np.nan]], np.float32), 1, "Vector 0 holds NaN or infinity"),
        (lambda: np.array([[0, 0, 0, 0], [1, 2, 3, np.inf]], np.float32), 1, "Vector 1 holds NaN"),
        # Finite as float64 and not as float32.
        (lambda: np.array([[1e300, 0, 0, 0]]), 1, "Vector 0 holds NaN or infinity"),
    ],
)
def test_what_cannot_be_searched(make: Callable[[], NDArray[np.float32]], k: int, says: str) -> None:
    index = ann.build("flat", vectors(10, 4))
    with pytest.raises(ann.AnnError, match=says):
        index.search(make(), k)


def test_what_cannot_be_indexed() -> None:
    with pytest.raises(ann.AnnError, match="'hnws' does not exist; there is flat"):
        ann.build("hnws", vectors(3, 4))
    with pytest.raises(ann.AnnError, match="Vector 2 holds NaN"):
        ann.build("flat", np.array([[0], [1], [np.nan]], np.float32))


def test_an_enormous_k_gives_all_there_is() -> None:
    scores_QK, rows_QK = ann.build("flat", vectors(5, 4)).search(vectors(2, 4, 1), 10**9)
    assert rows_QK.shape == scores_QK.shape == (2, 5)
    assert rows_QK.min() == 0


def test_vectors_come_back() -> None:
    vectors_ND = vectors(20, 6)
    index = ann.build("flat", vectors_ND)
    np.testing.assert_array_equal(index.vector(7), vectors_ND[7])
    for row in (-1, 20):
        with pytest.raises(ann.AnnError, match="the index has 20 rows"):
            index.vector(row)


def test_mapped_it_answers_as_read_and_takes_no_memory_of_its_own(tmp_path: Path) -> None:
    vectors_ND, queries_QD = vectors(40_000, 64), vectors(5, 64, 1)
    ann.build("flat", vectors_ND).write(tmp_path / "x.faiss")
    read = ann.read(tmp_path / "x.faiss").search(queries_QD, 7)
    before = _anonymous_kib()
    mapped = ann.read(tmp_path / "x.faiss", mapped=True)
    (tmp_path / "x.faiss").unlink()  # pruned while it serves
    found = mapped.search(queries_QD, 7)
    assert _anonymous_kib() - before < 5_000  # of 10,240
    np.testing.assert_array_equal(found[1], read[1])
    np.testing.assert_array_equal(found[0], read[0])
    np.testing.assert_array_equal(mapped.vector(39_999), vectors_ND[-1])


def _anonymous_kib() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def test_written_and_read_back(tmp_path: Path) -> None:
    index = ann.build("flat", vectors(50, 6))
    digest = index.write(tmp_path / "x.faiss")
    assert digest == hashlib.sha256((tmp_path / "x.faiss").read_bytes()).hexdigest()
    again = ann.read(tmp_path / "x.faiss")
    assert (again.count, again.dim) == (50, 6)
    queries_QD = vectors(3, 6, 1)
    np.testing.assert_array_equal(again.search(queries_QD, 5)[1], index.search(queries_QD, 5)[1])


def test_a_full_disk_is_an_error_and_not_a_line_on_stderr() -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        ann.build("flat", vectors(5, 4)).write(Path("/dev/full"))
    assert caught.value.errno == errno.ENOSPC


def test_a_file_that_is_no_index(tmp_path: Path) -> None:
    (tmp_path / "x.faiss").write_bytes(b"not an index at all")
    with pytest.raises(ann.AnnError, match=r"x\.faiss is not an index FAISS"):
        ann.read(tmp_path / "x.faiss")
    with pytest.raises(ann.AnnError, match="is not an index FAISS"):
        ann.read(tmp_path / "nowhere.faiss")


def test_closed_is_closed() -> None:
    index = ann.build("flat", vectors(5, 4))
    index.close()
    index.close()
    with pytest.raises(ann.AnnError, match="was closed"):
        index.search(vectors(1, 4), 1)


class TestMeasuredRecall:
    def test_exact_is_one_even_where_vectors_are_equal(self) -> None:
        vectors_ND = np.repeat(vectors(5, 8), 40, axis=0)
        assert ann.measured_recall(ann.build("flat", vectors_ND), vectors_ND, vectors(30, 8, 1)) == 1.0

    def test_fewer_vectors_than_k(self) -> None:
        vectors_ND = vectors(3, 8)
        assert ann.measured_recall(ann.build("flat", vectors_ND), vectors_ND, vectors_ND) == 1.0

    def test_an_index_that_misses_is_told(self) -> None:
        """One of another order of rows finds what is not near; one of half the vectors finds about half."""
        vectors_ND, queries_QD = vectors(400, 16), vectors(50, 16, 1)
        shuffled = np.random.default_rng(2).permutation(vectors_ND)
        assert ann.measured_recall(ann.build("flat", shuffled), vectors_ND, queries_QD) < 0.15
        half = ann.build("flat", vectors_ND[:200])
        assert 0.4 < ann.measured_recall(half, vectors_ND, queries_QD) < 0.6


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 0)
    with pytest.raises(ann.NoGpu, match="FAISS sees none"):
        ann.AnnIndex(faiss.IndexFlatIP(4), device="gpu")


@pytest.mark.gpu
def test_gpu_gives_what_the_cpu_gives() -> None:
    vectors_ND, queries_QD = vectors(20_000, 64), vectors(200, 64, 1)
    on_cpu = ann.build("flat", vectors_ND)
    faiss_index = faiss.IndexFlatIP(64)
    faiss_index.add(vectors_ND)
    on_gpu = ann.AnnIndex(faiss_index, device="gpu")
    with ThreadPoolExecutor(8) as pool:
        parts = list(
            pool.map(lambda start: on_gpu.search(queries_QD[start : start + 10], 10), range(0, 200, 10))
        )
    scores_QK, rows_QK = on_cpu.search(queries_QD, 10)
    np.testing.assert_allclose(np.concatenate([scores for scores, _ in parts]), scores_QK, rtol=1e-4)
    assert (np.concatenate([rows for _, rows in parts]) == rows_QK).mean() > 0.999
    np.testing.assert_array_equal(on_gpu.vector(5), vectors_ND[5])
    with pytest.raises(ann.AnnError, match="at most 2048"):
        on_gpu.search(queries_QD, 4096)
    on_gpu.close()
