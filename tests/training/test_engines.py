"""Engines that others bring: by an entry point, or by module:Class on the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from training.speak import SpeechError, remake, speak, speak_command
from training.voices import Voice, VoiceError, open_engine, voice_set

ENGINE = '''
import numpy as np

class Tones:
    """A tone for every character."""

    name = "tones"

    def voices(self):
        return ("low", "high")

    def synthesize(self, text, voice, rate, pitch_semitones):
        times = np.arange(int(0.08 * 8000 / rate)) / 8000
        base = (150 if voice == "low" else 300) * 2 ** (pitch_semitones / 12)
        tones = [np.sin(2 * np.pi * (base + ord(character)) * times) for character in text]
        return (8000 * np.concatenate(tones)).astype(np.int16), 8000

class NoEngine:
    pass

not_a_class = "Tones"
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed package with one engine: its module, and what its installation leaves beside it."""
    site = tmp_path / "site"
    info = site / "their_tones-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "their_tones.py").write_text(ENGINE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-tones\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[saysee.engines]\ntones = their_tones:Tones\nbroken = their_tones:NoEngine\n"
    )
    monkeypatch.syspath_prepend(str(site))
    return "their_tones"


def texts(path: Path, count: int) -> Path:
    rows = [{"id": f"c{n}", "image_id": f"i{n}", "text": f"Dog {n}."} for n in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("engine", ["tones", "their_tones:Tones"])
def test_an_engine_of_ones_own_speaks_and_its_clips_are_made_again(
    module: str, engine: str, tmp_path: Path
) -> None:
    voices = f"{engine}:low,{engine}:high,espeak:en-us"
    assert voice_set(voices, for_training=True)[0] == Voice(engine, "low")
    report = speak(texts(tmp_path / "texts.jsonl", 40), tmp_path / "out", voices=voices, workers=2)
    assert (report.made, report.voices, report.failures) == (40, 3, {})
    records = [json.loads(line) for line in (tmp_path / "out/captions.jsonl").read_text().splitlines()]
    theirs = next(record for record in records if record["engine"] == engine)
    assert theirs["voice"] in (f"{engine}:low", f"{engine}:high")
    with pytest.raises(SpeechError, match=f"if you trust it, say --voices {theirs['voice']} as well"):
        remake(tmp_path / "out", theirs["id"], tmp_path / "again")
    assert remake(tmp_path / "out", theirs["id"], tmp_path / "again", trusted={engine}).identical


def test_no_code_is_imported_because_a_record_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A corpus from a stranger, which brings its own module as well."""
    corpus = tmp_path / "corpus"
    speak(texts(tmp_path / "texts.jsonl", 1), corpus, voices="espeak:en-us", workers=1)
    manifest = corpus / "captions.jsonl"
    record = json.loads(manifest.read_text())
    proof = f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n"
    (corpus / "evil_voices.py").write_text(proof + ENGINE)
    monkeypatch.syspath_prepend(str(corpus))
    manifest.write_text(json.dumps(record | {"voice": "evil_voices:Tones:low"}) + "\n")
    app = typer.Typer()
    app.command()(speak_command)
    words = [str(corpus), "--remake", "c0", "--out", str(tmp_path / "again")]
    for voices in ([], ["--voices", "espeak:en-us,their_tones:Tones:low"]):
        refused = CliRunner().invoke(app, [*words, *voices])
        assert refused.exit_code == 1
        assert "say --voices evil_voices:Tones:low as well" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    assert not (tmp_path / "ran").exists()
    assert "evil_voices" not in sys.modules
    trusted = CliRunner().invoke(app, [*words, "--voices", "evil_voices:Tones:low"])
    assert (tmp_path / "ran").exists()
    assert "The clip made again differs" in trusted.stderr
    del sys.modules["evil_voices"]


@pytest.mark.parametrize(
    "change",
    [
        {"voice": "espeak"},
        {"voice": 7},
        {"rate": 0.0},
        {"rate": float("nan")},
        {"pitch": 1e9},
        {"gain_db": "loud"},
        {"text": None},
        {"path": "c0.exe"},
        {"path": 7},
    ],
    ids=str,
)
def test_a_record_that_speak_never_wrote_is_told(tmp_path: Path, change: dict[str, object]) -> None:
    corpus = tmp_path / "corpus"
    speak(texts(tmp_path / "texts.jsonl", 1), corpus, voices="espeak:en-us", workers=1)
    record = json.loads((corpus / "captions.jsonl").read_text())
    lines = ["nonsense", '["c0"]', json.dumps(record | change)]
    (corpus / "captions.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(SpeechError, match=r'The record of "c0" in .* is none that speak writes'):
        remake(corpus, "c0", tmp_path / "again")


def test_an_id_that_leads_out_writes_nothing(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    speak(texts(tmp_path / "texts.jsonl", 1), corpus, voices="espeak:en-us", workers=1)
    record = json.loads((corpus / "captions.jsonl").read_text())
    (corpus / "captions.jsonl").write_text(json.dumps(record | {"id": "../evil"}) + "\n")
    with pytest.raises(SpeechError, match="could not be a file name"):
        remake(corpus, "../evil", tmp_path / "again")
    assert not (tmp_path / "evil.flac").exists()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("their_tones:Nobody", "cannot be imported: .*Nobody"),
        ("their_tone:Tones", "cannot be imported: No module named 'their_tone'"),
        ("their_tones:NoEngine", r"is no speech engine: that is a class with voices\(\) and synthesize\(\)"),
        ("their_tones:not_a_class", "is no speech engine"),
        ("broken", "is no speech engine"),
        ("festival", "there are espeak, flite, google, pico, rhvoice, broken, tones, or write module:Class"),
    ],
)
def test_what_is_no_engine_is_told(module: str, name: str, told: str) -> None:
    with pytest.raises(VoiceError, match=told):
        open_engine(name)


def test_a_voice_the_engine_lacks_is_told_at_the_start(module: str, tmp_path: Path) -> None:
    with pytest.raises(VoiceError, match='The engine tones has no voice "middle"'):
        speak(texts(tmp_path / "texts.jsonl", 2), tmp_path / "out", voices="tones:middle")
    assert not (tmp_path / "out").exists()
