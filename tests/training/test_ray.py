"""Shards by a real Ray on this machine: the same bytes as without it, and its errors as they were."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

ray = pytest.importorskip("ray", reason="the extra ray is not installed")

from training.speak import speak  # noqa: E402  after it is known that there is Ray

pytestmark = [
    pytest.mark.slow,
    # Ray itself leaves sockets, files and deprecated calls behind; none of it is ours to close.
    pytest.mark.filterwarnings("ignore"),
]

VOICES = "espeak:en-us,espeak:en-gb+f2"


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir()) if path.name != "speak.lock"}


def test_ray_makes_the_same_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "PYTHONPATH", str(Path(__file__).parents[2]))
    source = tmp_path / "texts.jsonl"
    rows = [{"id": f"c{n}", "image_id": f"i{n}", "text": f"Dog number {n}."} for n in range(40)]
    rows.append({"id": "mute", "image_id": "i0", "text": "."})
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = speak(source, tmp_path / "ray", voices=VOICES, shards=12, runner="ray")
    assert (report.clips, report.made, list(report.failures)) == (40, 40, ["mute"])
    speak(source, tmp_path / "local", voices=VOICES, shards=12, workers=1)
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")

    (tmp_path / "full").mkdir()
    (tmp_path / "full/speech-000001.tar.partial").mkdir()  # where a file has to go
    with pytest.raises(IsADirectoryError):
        speak(source, tmp_path / "full", voices=VOICES, shards=12, runner="ray")
    assert not ray.is_initialized()
