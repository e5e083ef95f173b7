"""One corpus, one index and one app for all tests that only read them."""

import json
import logging
import os
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from indexer.bundle import Bundle
from service.app import create_app
from service.logs import AsJson
from service.settings import Settings
from tests.fixtures.local_client import LocalClient
from tests.fixtures.tiny_index import add_generation, make_corpus

OPERATOR_KEY = "a key that only the operator has"


@pytest.fixture(autouse=True, scope="session")
def _no_variables() -> Iterator[None]:
    """Settings read the environment; the tests' own say everything."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("SAYSEE_") and name != "SAYSEE_DATA":  # that one is the tests' own
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Bundle, corpus: Path) -> Path:
    path = tmp_path_factory.mktemp("index") / "index"
    add_generation(path, tiny_bundle, corpus)
    return path


@pytest.fixture(scope="session")
def app(index: Path) -> FastAPI:
    return create_app(Settings(index=index, threads=2))


@pytest.fixture(scope="session")
def client(app: FastAPI) -> Iterator[TestClient]:
    with LocalClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def told() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What was logged as JSON since the test began."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(AsJson())
    ours = logging.getLogger("service")
    level = ours.level
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    ours.removeHandler(handler)
    ours.setLevel(level)
