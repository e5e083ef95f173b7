"""What is wrong while it serves all the same is told where operators look."""

from pathlib import Path

import onnxruntime
import pytest

from indexer.session import CPU, CUDA
from service.app import create_app
from service.settings import Settings
from tests.fixtures.local_client import LocalClient


@pytest.mark.parametrize(("provider", "told"), [("auto", True), ("cpu", False)])
def test_a_gpu_build_that_encodes_on_the_cpu_is_told(
    index: Path, monkeypatch: pytest.MonkeyPatch, provider: str, told: bool
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    settings = Settings(index=index, threads=1, provider=provider)  # type: ignore[arg-type]  # one of the literals
    with LocalClient(create_app(settings)) as client:
        body = client.get("/readyz").json()
        assert (body["status"], body["provider"]) == ("degraded" if told else "ready", CPU)
        assert list(body["degraded"]) == (["provider"] if told else [])
        assert ('saysee_degraded{reason="provider"} 1.0' in client.get("/metrics").text) == told
