"""Speak: draws as published, clips that can be made again, resume, sources with their traps, FACC."""

import contextlib
import fcntl
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner

from indexer.build import build
from indexer.bundle import Bundle
from indexer.store import open_index
from tests.fixtures.media_bytes import make_png
from training.datasets import open_dataset
from training.speak import (
    CaptionsError,
    Draw,
    SpeechError,
    draw,
    read_captions,
    speak,
    speak_clip,
    speak_command,
    spoken_text,
)
from training.voices import Voice, VoiceError, voice_set

VOICES = "espeak:en-us,espeak:en-gb+f2,espeak:en-029+m3"
ROOT = Path(__file__).parents[2]


def write_texts(path: Path, count: int, split: str = "test") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    things = ["dog", "red ball", "child in a blue coat", "wooden boat", "tall green tree", "yellow bus"]
    lines = [
        {
            "id": f"s{i:03d}_0",
            "image_id": f"s{i:03d}",
            "text": f"A {things[i % 6]} number {i} .",
            "split": split,
        }
        for i in range(count)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def manifest(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "captions.jsonl").read_text().splitlines()]


def contents(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


def flickr8k(folder: Path) -> Path:
    folder.mkdir()
    rows = [
        (f"10{i}_ab_c.jpg#{k}", f"A dog number {k} runs near the water 's edge .")
        for i in range(4)
        for k in range(2)
    ]
    rows += [
        ("2258277193_586949ec62.jpg.1#0", "people waiting for the subway"),
        ("999_zz.jpg#0", "In no list ."),
    ]
    (folder / "Flickr8k.token.txt").write_text("".join(f"{name}\t{text}\n" for name, text in rows))
    (folder / "Flickr_8k.trainImages.txt").write_text("100_ab_c.jpg\n101_ab_c.jpg\n\n")
    (folder / "Flickr_8k.devImages.txt").write_text("102_ab_c.jpg\n")
    (folder / "Flickr_8k.testImages.txt").write_text("103_ab_c.jpg\n")
    return folder


def living(session: int) -> list[str]:
    """Processes of a session that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            name, _, rest = stat.read_text().rpartition(")")
            state, _parent, _group, its_session = rest.split()[:4]
            if int(its_session) == session and state != "Z":
                found.append(name)
    return found


def test_draws_follow_the_published_distributions() -> None:
    voices = voice_set("train")
    draws = [draw(0, f"caption-{i}", voices) for i in range(20_000)]
    for values, mean, deviation, low, high in (
        ([d.rate for d in draws], 1.0, 0.1, 0.8, 1.2),
        ([d.pitch_semitones for d in draws], 0.0, 1.0, -2.0, 2.0),
        ([d.gain_db for d in draws], 0.0, 2.0, -4.0, 4.0),
    ):
        assert min(values) == low
        assert max(values) == high
        # Clipped, not drawn again: P(|z| > 2) = .0455 of all lies on the two ends.
        assert np.mean([v in (low, high) for v in values]) == pytest.approx(0.0455, abs=0.006)
        assert statistics.fmean(values) == pytest.approx(mean, abs=0.03 * deviation)
        inside = statistics.NormalDist(mean, deviation).cdf(mean + deviation / 2)
        assert np.mean([v < mean + deviation / 2 for v in values]) == pytest.approx(inside, abs=0.012)
    counts = np.bincount([voices.index(d.voice) for d in draws], minlength=len(voices))
    expected = len(draws) / len(voices)
    assert np.sum((counts - expected) ** 2 / expected) < len(voices) + 5 * np.sqrt(2 * len(voices))
    numbers = np.array([[d.rate, d.pitch_semitones, d.gain_db, voices.index(d.voice)] for d in draws])
    assert np.abs(np.corrcoef(numbers.T) - np.eye(4)).max() < 0.03


def test_a_draw_depends_on_seed_and_id_alone() -> None:
    voices = voice_set(VOICES)
    assert draw(3, "a", voices) == draw(3, "a", voices)
    assert draw(3, "a", voices) != draw(4, "a", voices)
    assert draw(3, "a", voices) != draw(3, "b", voices)
    # Written down, so that a corpus can be made again years from now.
    assert draw(0, "scene-000001_0", voices) == Draw(Voice("espeak", "en-us"), 1.1004, -1.259, -0.9508)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("A child in a pink dress is climbing up a set of stairs in an entry way .",) * 2,
        ("The bride 's shoe , and they do n't know .", "The bride's shoe, and they don't know."),
        ('A man in a " Genetic Freak " shirt', "A man in a Genetic Freak shirt"),
        ("Michael Jackson 's ' Thriller ' video .", "Michael Jackson's Thriller video."),
        ("rock 'n' roll at 5 o'clock", "rock 'n' roll at 5 o'clock"),
        ("player # 25 . . .", "player 25."),
        ("null", "null"),
        ("tab\tand\x00nul\nline", "tab and nul line"),
        (" . ", ""),
        ("", ""),
    ],
)
def test_text_is_made_speakable(written: str, said: str) -> None:
    assert spoken_text(written) == said.replace(" .", ".")


def test_a_clip_is_16_khz_with_little_silence_at_the_level_drawn() -> None:
    levels = {}
    for voice in ("en-us+iven2", "en-us+Hugo"):  # 14 dB apart out of the engine
        for gain_db in (-4.0, 0.0, 4.0):
            samples = speak_clip("A dog runs on the beach .", Draw(Voice("espeak", voice), 1.0, 0.0, gain_db))
            assert samples.dtype == np.int16
            levels[voice, gain_db] = 20 * np.log10(np.sqrt(np.mean((samples / 32768.0) ** 2)))
            loud = np.flatnonzero(np.abs(samples) > 64)
            assert max(loud[0], len(samples) - 1 - loud[-1]) <= 0.11 * 16000
            assert np.abs(samples).max() < 32767
    for (_, gain_db), level in levels.items():
        assert level == pytest.approx(-22.0 + gain_db, abs=0.1)


def test_clips_are_never_clipped_even_by_a_gain_too_large() -> None:
    samples = speak_clip("Stop!", Draw(Voice("espeak", "en-us"), 1.0, 0.0, 30.0))
    assert 0.98 * 32767 < np.abs(samples).max() < 32767


def test_speak_writes_clips_and_a_manifest_that_makes_each_again(tmp_path: Path) -> None:
    source = write_texts(tmp_path / "pairs" / "texts.jsonl", 6)
    report = speak(source.parent, tmp_path / "pairs", voices=VOICES, workers=1)
    assert (report.clips, report.made, report.kept, report.failures) == (6, 6, 0, {})
    for number, record in enumerate(manifest(tmp_path / "pairs")):
        assert record["id"] == f"s{number:03d}_0"
        assert record["image_id"] == f"s{number:03d}"
        assert record["path"] == f"speech/{record['id']}.flac"
        assert record["text"].endswith(" .")
        assert record["split"] == "test"
        samples, rate_hz = soundfile.read(tmp_path / "pairs" / record["path"], dtype="int16")
        assert (rate_hz, samples.ndim) == (16000, 1)
        assert record["seconds"] == pytest.approx(len(samples) / 16000, abs=1e-4)
        drawn = Draw(Voice.parse(record["voice"]), record["rate"], record["pitch"], record["gain_db"])
        assert drawn == draw(0, record["id"], voice_set(VOICES))
        assert np.array_equal(speak_clip(record["text"], drawn), samples)


def test_two_runs_are_the_same_byte_for_byte_whatever_the_number_of_workers(tmp_path: Path) -> None:
    source = write_texts(tmp_path / "texts.jsonl", 40)
    speak(source, tmp_path / "one", voices=VOICES, workers=1)
    speak(source, tmp_path / "two", voices=VOICES, workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert not [p for p in tmp_path.rglob("*") if p.name.startswith(".") or p.name.endswith("partial")]


def test_a_killed_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    source = write_texts(tmp_path / "texts.jsonl", 200)
    out = tmp_path / "out"
    code = (
        "from pathlib import Path; from training.speak import speak; "
        f"speak(Path({str(source)!r}), Path({str(out)!r}), voices={VOICES!r}, workers=2)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, start_new_session=True)
    deadline = time.monotonic() + 30
    journal = out / "captions.jsonl.partial"
    while (not journal.exists() or journal.read_bytes().count(b"}") < 48) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    while living(process.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not living(process.pid), "the workers outlived the run"
    assert not (out / "captions.jsonl").exists(), "the run ended before it could be killed"
    stamps = {p: p.stat().st_mtime_ns for p in out.glob("speech/*.flac")}
    with journal.open("a") as lines:
        lines.write('{"id": "s000_0", "path": "spee')  # a line cut short

    report = speak(source, out, voices=VOICES, workers=2)
    assert report.clips == 200
    assert report.kept >= 48
    assert report.made == 200 - report.kept
    assert sum(p.stat().st_mtime_ns == stamp for p, stamp in stamps.items()) == report.kept
    speak(source, tmp_path / "whole", voices=VOICES, workers=2)
    assert contents(out) == contents(tmp_path / "whole")


def test_only_clips_that_would_be_the_same_are_kept(tmp_path: Path) -> None:
    source, out = write_texts(tmp_path / "texts.jsonl", 8), tmp_path / "out"
    assert speak(source, out, voices=VOICES, workers=1).made == 8
    assert speak(source, out, voices=VOICES, workers=1).kept == 8
    (out / "speech/s000_0.flac").write_bytes(b"fLaC")  # a clip that came to harm
    (out / "speech/s001_0.flac").unlink()
    source.write_text(source.read_text().replace("number 2 .", "number two hundred ."))
    report = speak(source, out, voices=VOICES, workers=1)
    assert (report.made, report.kept) == (3, 5)
    assert speak(source, out, voices=VOICES, workers=1, seed=1).kept == 0


def test_two_runs_do_not_write_into_one_folder(tmp_path: Path) -> None:
    source, out = write_texts(tmp_path / "texts.jsonl", 2), tmp_path / "out"
    out.mkdir()
    with (out / "captions.jsonl.partial").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(SpeechError, match="Another run"):
            speak(source, out, voices=VOICES, workers=1)
    assert speak(source, out, voices=VOICES, workers=1).made == 2


def test_several_clips_a_caption_differ_and_keep_the_first_id(tmp_path: Path) -> None:
    source = write_texts(tmp_path / "texts.jsonl", 3)
    speak(source, tmp_path / "out", voices=VOICES, per_caption=3, workers=1)
    records = manifest(tmp_path / "out")
    assert [r["id"] for r in records[:4]] == ["s000_0", "s000_0-2", "s000_0-3", "s001_0"]
    assert len({(r["rate"], r["pitch"]) for r in records}) == 9
    assert {r["image_id"] for r in records[:3]} == {"s000"}
    source.write_text(source.read_text() + '{"id": "s000_0-2", "image_id": "x", "text": "a clash"}\n')
    with pytest.raises(CaptionsError, match="s000_0-2"):
        speak(source, tmp_path / "out", voices=VOICES, per_caption=3, workers=1)


def test_a_caption_that_cannot_be_spoken_is_named_and_stops_nothing(tmp_path: Path) -> None:
    source = tmp_path / "texts.jsonl"
    rows: list[object] = [
        {"id": "a", "image_id": "i", "text": 'A dog, "quoted", and naïve cafés.'},
        {"id": "b", "image_id": "i", "text": " ."},
        {"id": "c", "image_id": "i", "text": "null"},
        {"id": "a", "image_id": "i", "text": "again"},
        {"id": "../up", "image_id": "i", "text": "a path out"},
        {"id": "d", "text": "no image"},
        ["not", "a", "caption"],
    ]
    source.write_bytes(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode() + b"{oops\n\xff\xfe\n\n"
    )
    report = speak(source, tmp_path / "out", voices="espeak:en-us", workers=1)
    assert [r["id"] for r in manifest(tmp_path / "out")] == ["a", "c"]
    assert list(report.failures) == ["b"]
    assert "nothing to say" in report.failures["b"]
    assert report.skipped == {
        "duplicate id": 1,
        "id not usable as a file name": 1,
        "caption without image_id": 1,
        "line without id and text": 1,
        "line not JSON": 1,
        "line not UTF-8": 1,
    }
    assert "2 made, 0 kept, 1 failed, 6 skipped" in str(report)


def test_a_flickr8k_folder_becomes_facc(tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = speak(flickr8k(tmp_path / "flickr8k"), out, voices=VOICES, workers=1)
    assert report.skipped == {"malformed image name": 1, "image in no split list": 1}
    wavs = sorted(p.name for p in (out / "flickr_audio/wavs").iterdir())
    assert wavs == [f"10{i}_ab_c_{k}.wav" for i in range(4) for k in range(2)]
    info = soundfile.info(out / "flickr_audio/wavs/100_ab_c_0.wav")
    assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
    captions = [line.split() for line in (out / "flickr_audio/wav2capt.txt").read_text().splitlines()]
    assert captions[1] == ["100_ab_c_1.wav", "100_ab_c.jpg", "#1"]
    assert len(captions) == 8
    speakers = dict(line.split(" ") for line in (out / "flickr_audio/wav2spk.txt").read_text().splitlines())
    records = manifest(out)
    voices = voice_set(VOICES)
    for record in records:
        name = Path(record["path"]).name
        assert int(speakers[name]) == record["speaker"] == voices.index(Voice.parse(record["voice"]))
    assert [r["split"] for r in records] == ["train"] * 4 + ["dev"] * 2 + ["test"] * 2
    assert records[0]["image_id"] == "100_ab_c"
    assert records[0]["text"] == "A dog number 0 runs near the water 's edge ."


def test_speech_made_for_flickr8k_goes_by_the_names_of_its_voices(tmp_path: Path) -> None:
    folder, out = flickr8k(tmp_path / "flickr8k"), tmp_path / "out"
    photos(folder, "100_ab_c.jpg", "101_ab_c.jpg")
    speak(folder, out, voices=VOICES, workers=1)
    voices = {record["id"]: record["voice"] for record in manifest(out)}
    for speech in (out, out / "flickr_audio"):
        clips = open_dataset(folder, "train", speech).clips
        assert {clip.id: clip.voice for clip in clips} == {clip.id: voices[clip.id] for clip in clips}
        assert len(clips) == 4
    (out / "captions.jsonl").unlink()  # as with the corpus as distributed
    assert {clip.voice for clip in open_dataset(folder, "train", out).clips} <= {"0", "1", "2"}


def photos(folder: Path, *names: str) -> Path:
    place = folder / "Flicker8k_Dataset"
    place.mkdir()
    for number, name in enumerate(names):
        (place / name).write_bytes(make_png(number))
    return place


def test_the_photos_of_a_flickr8k_folder_are_listed_where_they_can_be_reached(tmp_path: Path) -> None:
    folder, out = flickr8k(tmp_path / "flickr8k"), tmp_path / "deep" / "out"
    place = photos(folder, "100_ab_c.jpg", "102_ab_c.jpg", "103_ab_c.jpg", "999_zz.jpg")
    for _ in range(2):  # the link is found again
        speak(folder, out, voices=VOICES, workers=1)
        listed = [json.loads(line) for line in (out / "images.jsonl").read_text().splitlines()]
        assert listed == [
            {"id": "100_ab_c", "path": "images/100_ab_c.jpg", "split": "train"},
            {"id": "102_ab_c", "path": "images/102_ab_c.jpg", "split": "dev"},
            {"id": "103_ab_c", "path": "images/103_ab_c.jpg", "split": "test"},
        ]
        assert all(
            (out / one["path"]).read_bytes() == (place / Path(one["path"]).name).read_bytes()
            for one in listed
        )
    assert not Path(os.readlink(out / "images")).is_absolute()
    pairs = open_dataset(out, "test")
    assert [picture.id for picture in pairs.pictures] == ["103_ab_c"]
    assert [clip.id for clip in pairs.clips] == ["103_ab_c_0", "103_ab_c_1"]


def test_the_test_split_of_a_flickr8k_folder_is_indexed_by_its_lists(
    tmp_path: Path, tiny_bundle: Bundle
) -> None:
    folder, out = flickr8k(tmp_path / "flickr8k"), tmp_path / "flickr8k-speech"
    photos(folder, *(f"10{n}_ab_c.jpg" for n in range(4)))
    speak(folder, out, voices=VOICES, workers=1)
    build(
        tiny_bundle.path,
        tmp_path / "index",
        images=out / "images.jsonl",
        captions=out / "captions.jsonl",
        only={"split": ["test"]},
        promote_it=True,
    )
    with closing(open_index(tmp_path / "index")) as generation:
        assert [item.id for item in generation.items("images", 10)[0]] == ["103_ab_c"]
        captions = generation.items("captions", 10)[0]
        assert {item.metadata["image_id"] for item in captions} == {"103_ab_c"}
        assert generation.manifest.collections["captions"].skipped["not split=test"].count == 6
        served = generation.media("images", "103_ab_c")
        assert served.path.read_bytes() == (folder / "Flicker8k_Dataset" / "103_ab_c.jpg").read_bytes()


def test_photos_inside_the_folder_need_no_link(tmp_path: Path) -> None:
    folder = flickr8k(tmp_path / "flickr8k")
    photos(folder, "103_ab_c.jpg")
    speak(folder, folder, voices=VOICES, workers=1, split="test")
    (line,) = (folder / "images.jsonl").read_text().splitlines()
    assert json.loads(line)["path"] == "Flicker8k_Dataset/103_ab_c.jpg"
    assert not (folder / "images").exists()


def test_pictures_of_another_corpus_are_not_hidden(tmp_path: Path) -> None:
    folder, out = flickr8k(tmp_path / "flickr8k"), tmp_path / "out"
    photos(folder, "103_ab_c.jpg")
    (out / "images").mkdir(parents=True)
    with pytest.raises(SpeechError, match="images is in the way of a link to the photos in"):
        speak(folder, out, voices=VOICES, workers=1)
    assert [path.name for path in out.iterdir()] == ["images"]


def test_a_split_and_a_limit_may_be_asked_for(tmp_path: Path) -> None:
    folder = flickr8k(tmp_path / "flickr8k")
    assert {c.image_id for c in read_captions(folder, split="test")} == {"103_ab_c"}
    assert len(list(read_captions(folder, limit=3))) == 3
    with pytest.raises(CaptionsError, match='split "validation"'):
        read_captions(folder, split="validation")


def test_reserved_voices_never_speak_the_training_split(tmp_path: Path) -> None:
    folder = flickr8k(tmp_path / "flickr8k")
    with pytest.raises(VoiceError, match="reserved for evaluation"):
        speak(folder, tmp_path / "out", voices="reserved-espeak", workers=1)
    with pytest.raises(VoiceError, match="reserved for evaluation"):
        speak(folder, tmp_path / "out", voices="reserved-espeak", split="test", for_training=True, workers=1)
    assert not (tmp_path / "out").exists()
    assert speak(folder, tmp_path / "out", voices="reserved-espeak", split="test", workers=1).clips == 2


def test_the_test_split_may_have_voices_of_its_own(tmp_path: Path) -> None:
    folder, out = flickr8k(tmp_path / "flickr8k"), tmp_path / "out"
    speak(folder, out, voices=VOICES, test_voices="reserved-espeak", workers=1)
    reserved = {str(voice) for voice in voice_set("reserved-espeak")}
    for record in manifest(out):
        assert (record["voice"] in reserved) == (record["split"] == "test")
        assert (record["speaker"] < 3) == (record["split"] != "test")


def test_tsv_and_kaggle_sources(tmp_path: Path) -> None:
    conceptual = tmp_path / "Train_GCC-training.tsv"
    conceptual.write_text('a dog, "said" he\thttp://a/1.jpg\nnull\thttp://a/2.jpg\nno tab here\n')
    found = read_captions(conceptual)
    assert [(c.id, c.text) for c in found] == [
        ("cc-0000001", 'a dog, "said" he'),
        ("cc-0000002", "null"),
    ]
    assert found.skipped == {"line without a tab": 1}
    tokens = tmp_path / "tokens.txt"
    tokens.write_text("12_ab.jpg#3\tA dog .\n")
    assert [(c.id, c.image_id, c.number) for c in read_captions(tokens)] == [("12_ab_3", "12_ab", 3)]
    kaggle = tmp_path / "captions.txt"
    kaggle.write_text('image,caption\n12_ab.jpg,"A dog , a cat ."\n12_ab.jpg,A ""dog"" , yes .\n')
    rows = [(c.id, c.text) for c in read_captions(kaggle)]
    assert rows == [("12_ab_0", "A dog , a cat ."), ("12_ab_1", 'A ""dog"" , yes .')]
    odd = tmp_path / "odd.txt"
    odd.write_text("just words\n")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CaptionsError, match="neither JSONL"):
        read_captions(odd)
    with pytest.raises(CaptionsError, match="holds no texts"):
        read_captions(tmp_path / "empty")
    with pytest.raises(CaptionsError, match="There is no captions file"):
        read_captions(tmp_path / "absent.jsonl")


def test_the_command(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command("speak")(speak_command)
    runner = CliRunner()
    source = write_texts(tmp_path / "texts.jsonl", 3, split="train")
    arguments = [str(source), "--out", str(tmp_path / "out"), "--workers", "1", "--voices", "espeak:en-us"]
    done = runner.invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "3 made, 0 kept, 0 failed, 0 skipped" in done.output
    again = runner.invoke(app, [*arguments, "--json"])
    assert json.loads(again.stdout)["kept"] == 3
    refused = runner.invoke(app, [*arguments[:-1], "reserved"])
    assert refused.exit_code == 1
    assert refused.output.count("\n") == 1
    assert "reserved for evaluation" in refused.output
    (tmp_path / "file").touch()
    blocked = runner.invoke(
        app, [str(source), "--out", str(tmp_path / "file/out"), "--voices", "espeak:en-us"]
    )
    assert blocked.exit_code == 1
    assert "Not a directory" in blocked.output
    assert runner.invoke(app, [*arguments, "--per-caption", "0"]).exit_code == 2
    assert runner.invoke(app, [str(source)]).exit_code == 2
