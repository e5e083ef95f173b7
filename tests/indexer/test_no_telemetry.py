"""ONNX Runtime leaves nothing behind and is told nothing that others would hear."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from indexer.no_telemetry import no_telemetry

ROOT = Path(__file__).parents[2]
VARIABLE = "ORT_DISABLE_TELEMETRY"


@pytest.mark.parametrize("module", ["indexer.session", "indexer.doctor.runtimes"])
def test_no_id_of_this_machine_is_left_in_the_home_folder(tmp_path: Path, module: str) -> None:
    """In an empty environment: where a variable says that it is a CI's, ONNX Runtime is quiet by itself."""
    program = f"""
import os, {module} as used
getattr(used, "provider_used", id)([])
print(os.environ.get("{VARIABLE}"))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "None\n"
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize("said", [None, "0", "1"])
def test_the_variable_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch, said: str | None) -> None:
    if said is None:
        monkeypatch.delenv(VARIABLE, raising=False)
    else:
        monkeypatch.setenv(VARIABLE, said)
    with no_telemetry():
        assert os.environ[VARIABLE] == (said or "1")
    assert os.environ.get(VARIABLE) == said


def test_nobody_imports_it_otherwise() -> None:
    """Every import in our rooms stands in such a block."""
    found = []
    for room in ("indexer", "service", "training"):
        for path in (ROOT / room).rglob("*.py"):
            text = path.read_text()
            found += [
                (path.name, line) for line in re.findall(r"^.*\n *import onnxruntime", text, re.MULTILINE)
            ]
            assert not re.search(r"from onnxruntime", text)
    assert len(found) >= 3
    assert all("with no_telemetry():" in line for _, line in found), found
