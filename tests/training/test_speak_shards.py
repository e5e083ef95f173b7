"""Shards: the same bytes however they came about; clips made again; what a run will take."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
import soundfile
import typer
from typer.testing import CliRunner

from tests.fixtures.media_bytes import make_png
from training.shards import read_samples
from training.speak import (
    CaptionsError,
    SpeechError,
    foresee,
    perform,
    prepare,
    remake,
    speak,
    speak_command,
)
from training.speak.shard import read_index

ROOT = Path(__file__).parents[2]
VOICES = "espeak:en-us,espeak:en-gb+f2,espeak:en-029+m3"


def corpus(folder: Path, count: int, *, pictures: bool = True, also: tuple[dict[str, Any], ...] = ()) -> Path:
    """texts.jsonl with two captions a picture, and the pictures."""
    (folder / "images").mkdir(parents=True)
    things = ["dog", "red ball", "child in a blue coat", "wooden boat", "tall green tree"]
    texts: list[dict[str, Any]] = [
        {"id": f"p{n // 2}.{n % 2}", "image_id": f"p{n // 2}", "text": f"A {things[n % 5]} number {n} ."}
        for n in range(count)
    ]
    texts[3:3] = also
    images = [{"id": f"p{n}", "path": f"images/p{n}.png"} for n in range((count + 1) // 2)]
    if pictures:
        for n, image in enumerate(images):
            (folder / image["path"]).write_bytes(make_png(n))
        (folder / "images.jsonl").write_text("".join(json.dumps(row) + "\n" for row in images))
    (folder / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts))
    return folder


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir()) if path.name != "speak.lock"}


def test_shards_hold_pictures_records_and_recordings(tmp_path: Path) -> None:
    source = corpus(tmp_path / "pairs", 10, also=({"id": "mute", "image_id": "p0", "text": " ."},))
    report = speak(source, tmp_path / "out", voices=VOICES, workers=1, shards=4)
    assert (report.clips, report.made, report.kept) == (10, 10, 0)
    assert list(report.failures) == ["mute"]
    assert sorted(contents(tmp_path / "out")) == [
        "speak.json",
        *(f"speech-00000{n}.{kind}" for n in range(3) for kind in ("jsonl", "tar")),
    ]
    samples = [s for n in range(3) for s in read_samples(tmp_path / f"out/speech-00000{n}.tar")]
    assert [sample.key for sample in samples] == [f"p{n // 2}%2E{n % 2}" for n in range(10)]
    for n, sample in enumerate(samples):
        assert list(sample.files) == ["png", "json", "flac"]
        assert sample.files["png"].read() == make_png(n // 2)
        record = json.loads(sample.files["json"].read())
        assert (record["id"], record["image_id"]) == (f"p{n // 2}.{n % 2}", f"p{n // 2}")
        heard, rate_hz = soundfile.read(io.BytesIO(sample.files["flac"].read()), dtype="int16")
        assert rate_hz == 16000
        assert record["seconds"] == pytest.approx(len(heard) / 16000, abs=1e-4)
    told = json.loads((tmp_path / "out/speak.json").read_text())
    assert (told["clips"], told["shards"], told["failures"], told["clips_a_shard"]) == (10, 3, 1, 4)
    # The same clip as a file has the same bytes.
    speak(source, tmp_path / "files", voices=VOICES, workers=1)
    assert (tmp_path / "files/speech/p4.1.flac").read_bytes() == samples[9].files["flac"].read()


def test_the_index_gives_every_clip_its_place(tmp_path: Path) -> None:
    speak(corpus(tmp_path / "pairs", 5), tmp_path / "out", voices=VOICES, workers=1, shards=3, format="wav")
    with tarfile.open(tmp_path / "out/speech-000001.tar") as file:
        wavs = {m.name: (m.offset_data, m.size) for m in file.getmembers() if m.name.endswith(".wav")}
    records = read_index(tmp_path / "out/speech-000001.jsonl")
    assert {record["path"]: (record["offset"], record["bytes"]) for record in records} == wavs
    assert len(wavs) == 2


def test_pictures_may_stay_where_they_are(tmp_path: Path) -> None:
    source = corpus(tmp_path / "pairs", 2)
    speak(source, tmp_path / "out", voices=VOICES, workers=1, shards=4, pictures=False)
    assert [list(sample.files) for sample in read_samples(tmp_path / "out/speech-000000.tar")] == [
        ["json", "flac"],
        ["json", "flac"],
    ]


def test_the_number_of_workers_changes_no_byte(tmp_path: Path) -> None:
    source = corpus(tmp_path / "pairs", 30)
    speak(source, tmp_path / "one", voices=VOICES, workers=1, shards=7)
    speak(source, tmp_path / "two", voices=VOICES, workers=2, shards=7)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_the_place_of_the_corpus_changes_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = corpus(tmp_path / "pairs", 4)
    speak(source, tmp_path / "here", voices=VOICES, workers=1, shards=4)
    shutil.copytree(source, tmp_path / "elsewhere" / "pairs")
    monkeypatch.chdir(tmp_path / "elsewhere" / "pairs")
    speak(Path(), tmp_path / "there", voices=VOICES, workers=1, shards=4)
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
    assert json.loads(contents(tmp_path / "there")["speak.json"])["source"] == "pairs"


def test_a_killed_run_keeps_every_clip_and_ends_the_same(tmp_path: Path) -> None:
    source, out = corpus(tmp_path / "pairs", 200), tmp_path / "out"
    code = (
        "from pathlib import Path; from training.speak import speak; "
        f"speak(Path({str(source)!r}), Path({str(out)!r}), voices={VOICES!r}, workers=1, shards=80)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    journal, deadline = out / "speech-000001.jsonl.partial", time.monotonic() + 60
    while (not journal.exists() or journal.read_bytes().count(b"\n") < 20) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert (out / "speech-000000.tar").exists()
    assert not (out / "speech-000001.tar").exists(), "a shard is whole or absent"
    written = journal.read_bytes().count(b"\n")
    assert 20 <= written < 80, "the run ended before it could be killed"
    with journal.open("ab") as lines, (out / "speech-000001.tar.partial").open("ab") as tar:
        lines.write(b'{"id": "p1')  # a line and a sample cut short
        tar.write(b"half a sample")

    report = speak(source, out, voices=VOICES, workers=1, shards=80)
    assert (report.clips, report.kept) == (200, 80 + written)
    speak(source, tmp_path / "whole", voices=VOICES, workers=1, shards=80)
    assert contents(out) == contents(tmp_path / "whole")


def test_a_kill_between_the_two_renames_loses_nothing(tmp_path: Path) -> None:
    source, out = corpus(tmp_path / "pairs", 4), tmp_path / "out"
    speak(source, out, voices=VOICES, workers=1, shards=4)
    before = contents(out)
    (out / "speech-000000.jsonl").rename(out / "speech-000000.jsonl.partial")
    assert speak(source, out, voices=VOICES, workers=1, shards=4).kept == 4
    assert contents(out) == before


@pytest.mark.parametrize("harm", ["cut short", "another text", "another seed", "another format"])
def test_only_a_shard_that_would_be_the_same_is_kept(tmp_path: Path, harm: str) -> None:
    source, out = corpus(tmp_path / "pairs", 8), tmp_path / "out"
    speak(source, out, voices=VOICES, workers=1, shards=4)
    assert speak(source, out, voices=VOICES, workers=1, shards=4).kept == 8
    more: dict[str, Any] = {}
    kept = 4
    if harm == "cut short":
        tar = out / "speech-000001.tar"
        tar.write_bytes(tar.read_bytes()[:-1000])
    elif harm == "another text":
        texts = source / "texts.jsonl"
        texts.write_text(texts.read_text().replace("number 6 ", "number sixty "))
    else:
        more, kept = ({"seed": 5} if harm == "another seed" else {"format": "wav"}), 0
    assert speak(source, out, voices=VOICES, workers=1, shards=4, **more).kept == kept
    speak(source, tmp_path / "whole", voices=VOICES, workers=1, shards=4, **more)
    assert contents(out) == contents(tmp_path / "whole")


def test_a_damaged_part_of_an_interrupted_shard_is_made_again(tmp_path: Path) -> None:
    source, out = corpus(tmp_path / "pairs", 6), tmp_path / "out"
    speak(source, tmp_path / "whole", voices=VOICES, workers=1, shards=6)
    out.mkdir()
    lines = (tmp_path / "whole/speech-000000.jsonl").read_bytes().splitlines(keepends=True)
    tar = bytearray((tmp_path / "whole/speech-000000.tar").read_bytes())
    place = json.loads(lines[2])["offset"]
    tar[place : place + 100] = bytes(100)  # a machine that lost its power leaves holes
    (out / "speech-000000.jsonl.partial").write_bytes(b"".join(lines[:4]))
    (out / "speech-000000.tar.partial").write_bytes(tar)
    assert speak(source, out, voices=VOICES, workers=1, shards=6).kept == 2
    assert contents(out) == contents(tmp_path / "whole")


@pytest.mark.parametrize("lost", [1, 5])
def test_a_line_that_a_kill_cut_short_does_not_count(tmp_path: Path, lost: int) -> None:
    """Its newline alone is enough: the next record would stand on the same line."""
    source, out = corpus(tmp_path / "pairs", 4), tmp_path / "out"
    speak(source, tmp_path / "whole", voices=VOICES, workers=1, shards=4)
    out.mkdir()
    lines = (tmp_path / "whole/speech-000000.jsonl").read_bytes().splitlines(keepends=True)
    (out / "speech-000000.jsonl.partial").write_bytes(b"".join(lines[:3])[:-lost])
    (out / "speech-000000.tar.partial").write_bytes((tmp_path / "whole/speech-000000.tar").read_bytes())
    assert speak(source, out, voices=VOICES, workers=1, shards=4).kept == 2
    assert contents(out) == contents(tmp_path / "whole")


def test_shards_of_another_run_are_not_mixed_in(tmp_path: Path) -> None:
    source, out = corpus(tmp_path / "pairs", 8), tmp_path / "out"
    speak(source, out, voices=VOICES, workers=1, shards=2)
    (out / "speech-000000.tar").unlink()
    with pytest.raises(SpeechError, match=r"holds speech-000002.tar and this run makes 2 shards"):
        speak(source, out, voices=VOICES, workers=1, shards=4)


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    source = corpus(tmp_path / "pairs", 2)
    with pytest.raises(SpeechError, match=r"--engine ray makes shards; say how many clips each holds"):
        speak(source, tmp_path / "out", voices=VOICES, runner="ray")
    with (source / "texts.jsonl").open("a") as texts:
        texts.write('{"id": "p0.0-2", "image_id": "p0", "text": "a clash"}\n')
    with pytest.raises(CaptionsError, match=r"p0\.0-2"):
        speak(source, tmp_path / "out", voices=VOICES, per_caption=2, shards=9, workers=1)


@pytest.mark.parametrize("shards", [None, 4])
def test_a_clip_made_again_is_the_same_byte_for_byte(tmp_path: Path, shards: int | None) -> None:
    also = (
        {"id": "u", "image_id": "p0", "text": "naïve, “quoted” \u2028 café"},
        {"id": "mute", "image_id": "p0", "text": "."},
    )
    source, out = corpus(tmp_path / "pairs", 6, also=also), tmp_path / "out"
    speak(source, out, voices=VOICES, workers=1, shards=shards)
    texts = source / "texts.jsonl"
    texts.unlink()  # the manifest alone has to do
    for number, name in enumerate(("p0.0", "p2.1", "u")):
        again = remake(out, name, tmp_path / f"again{number}")
        assert again.identical, name
        assert again.path == tmp_path / f"again{number}/{name}.flac"
    with pytest.raises(SpeechError, match=r'has no clip "p9\.0"'):
        remake(out, "p9.0", tmp_path)
    with pytest.raises(SpeechError, match="is there already"):
        remake(out, "p0.0", tmp_path / "again0")
    with pytest.raises(SpeechError, match="is no spoken corpus"):
        remake(source, "p0.0", tmp_path)
    if shards:
        with pytest.raises(SpeechError, match='"mute" could not be spoken: The caption'):
            remake(out, "mute", tmp_path)


def test_a_clip_that_differs_or_is_of_another_recipe_is_told(tmp_path: Path) -> None:
    speak(corpus(tmp_path / "pairs", 2), tmp_path / "out", voices=VOICES, workers=1)
    clip = tmp_path / "out/speech/p0.0.flac"
    clip.write_bytes(clip.read_bytes()[:-1])
    again = remake(tmp_path / "out", "p0.0", tmp_path / "again")
    assert not again.identical
    assert "NOT" in str(again)
    manifest = tmp_path / "out/captions.jsonl"
    manifest.write_text(manifest.read_text().replace('"recipe": 2', '"recipe": 1'))
    with pytest.raises(SpeechError, match="was made by recipe 1 and this version has recipe 2"):
        remake(tmp_path / "out", "p0.1", tmp_path / "again")


@pytest.mark.parametrize("shards", [None, 100])
def test_the_estimate_is_near_what_it_takes(tmp_path: Path, shards: int | None) -> None:
    source, out = corpus(tmp_path / "pairs", 160), tmp_path / "out"
    work = prepare(source, out, voices=VOICES, workers=1, clips_a_shard=shards)
    foreseen = foresee(work)
    assert not out.exists(), "an estimate writes nothing"
    report = perform(work)
    spoken = sum(path.stat().st_size for path in out.rglob("*") if path.suffix in (".flac", ".tar"))
    assert foreseen.clips == report.clips == 160
    assert foreseen.size_bytes == pytest.approx(spoken, rel=0.25)
    assert foreseen.speech_seconds == pytest.approx(report.speech_seconds, rel=0.2)
    # The machine may be busy with other things at either time; only the order of magnitude can be asked for.
    assert report.elapsed_seconds / 6 < foreseen.elapsed_seconds < report.elapsed_seconds * 6
    assert foreseen.free_bytes > 0


def test_the_command_foresees_makes_and_remakes(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command("speak")(speak_command)
    runner = CliRunner()
    source, out = corpus(tmp_path / "pairs", 210), tmp_path / "out"
    arguments = [str(source), "--out", str(out), "--workers", "1", "--voices", VOICES, "--shards", "150"]
    dry = runner.invoke(app, [*arguments, "--dry-run"])
    assert dry.exit_code == 0, dry.output
    assert "210 clips to make: about" in dry.stdout
    assert "(measured on the first 48)" in dry.stdout
    assert not out.exists()
    assert json.loads(runner.invoke(app, [*arguments, "--dry-run", "--json"]).stdout)["clips"] == 210
    done = runner.invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "210 clips to make: about" in done.stderr
    assert "210 made, 0 kept, 0 failed" in done.stdout
    again = [str(out), "--remake", "p3.0", "--out", str(tmp_path / "again")]
    remade = runner.invoke(app, again)
    assert remade.exit_code == 0, remade.output
    assert "byte for byte the one in the corpus" in remade.stdout
    with (out / "speech-000000.tar").open("r+b") as tar:
        tar.write(bytes(1_000_000))
    differs = runner.invoke(app, [*again[:-1], str(tmp_path / "third")])
    assert differs.exit_code == 1
    assert "error: The clip made again differs" in differs.stderr
