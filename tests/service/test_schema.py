"""The service does what its OpenAPI document says, whatever is asked: no 5xx, every answer of its schema."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from pydantic import SecretStr
from schemathesis.specs.openapi import checks

from service.app import create_app
from service.settings import Settings
from tests.fixtures.live_server import live_server
from tests.fixtures.media_bytes import make_png, make_wav

OPERATOR_KEY = "a key that only the operator has"
EXAMPLES = 15  # of each call: some seconds in all
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]
MEDIA = st.sampled_from([make_wav(0.5), make_wav(7.0), make_png(1), make_png(2)[:90]]) | st.binary(
    max_size=300
)
KNOWN = {"id": "scene-0", "name": "overloaded"}  # what no generator would guess
MODES = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)

for kind in ("audio/*", "image/*", "application/octet-stream"):
    schemathesis.openapi.media_type(kind, MEDIA)


@pytest.fixture(scope="module")
def document(index: Path) -> Iterator[Any]:
    app = create_app(Settings(index=index, threads=1, operator_key=SecretStr(OPERATOR_KEY)))
    with live_server(app) as port:
        document = schemathesis.openapi.from_dict(app.openapi())
        document.config.update(base_url=f"http://127.0.0.1:{port}")
        yield document


@pytest.mark.parametrize("mode", MODES, ids=[mode.value for mode in MODES])
def test_every_call_is_as_documented(document: Any, mode: schemathesis.GenerationMode) -> None:
    asked = 0

    for operation in document.get_all_operations():

        @given(case=operation.ok().as_strategy(generation_mode=mode))
        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        def check(case: Any) -> None:
            nonlocal asked
            asked += 1
            if asked % 2 and mode is schemathesis.GenerationMode.POSITIVE:
                case.headers["Authorization"] = f"Bearer {OPERATOR_KEY}"
                case.path_parameters |= {name: KNOWN.get(name, v) for name, v in case.path_parameters.items()}
            case.call_and_validate(checks=CHECKS)

        with suppress(Unsatisfiable):  # a call without parameters cannot be called wrongly
            check()
    assert asked > 100
