"""Damaged files of every format: answered or refused, never a fault of ours, and the server goes on.

`python -m tests.bench.mutated_uploads` sends ten thousand of them to a server of its own.
"""

import itertools

import pytest
from starlette.testclient import TestClient

from tests.fixtures.media_bytes import make_wav
from tests.fixtures.mutated import CALLS, MEANT_FOR_FILES, mutated, samples

COUNT = 200


def test_every_sample_is_taken_whole(client: TestClient) -> None:
    refused = {
        name: answer.json()
        for name, data in samples().items()
        if (answer := client.post(CALLS[0], content=data)).status_code != 200
    }
    assert refused == {}


@pytest.mark.parametrize("seed", [1909, 7])
def test_damaged_files(client: TestClient, seed: int) -> None:
    statuses = set()
    for number, upload in enumerate(itertools.islice(mutated(seed), COUNT)):
        answer = client.post(CALLS[number % len(CALLS)], content=upload.data)
        assert answer.status_code in MEANT_FOR_FILES, f"{number} {upload.name}: {answer.text}"
        statuses.add(answer.status_code)
    assert {200, 415, 422} <= statuses  # the damage is neither too little nor too much to show anything
    assert client.post(CALLS[0], content=make_wav()).status_code == 200


def test_the_same_seed_gives_the_same_files() -> None:
    first, again = (list(itertools.islice(mutated(5), 60)) for _ in range(2))
    assert first == again
    assert len({upload.data for upload in first}) > 50
