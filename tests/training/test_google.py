"""The google engine against a real server of its protocol: what is asked for, each fault in a sentence."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("google.cloud.texttospeech", reason="the extra google is not installed")

import grpc  # type: ignore[import-untyped]  # ships no annotations

from tests.fixtures.google_speech import FakeGoogle, fake_google
from training.speak import Draw, speak, speak_clip
from training.voices import EngineDown, EngineError, GainEngine, GoogleEngine, Voice, VoiceError, voice_set
from training.voices.google import ENDPOINT

TEXT = "A dog runs along the beach."
VOICE = "en-US-Wavenet-C"
QUOTA = (grpc.StatusCode.RESOURCE_EXHAUSTED, "Quota exceeded for requests per minute.")
AWAY = (grpc.StatusCode.UNAVAILABLE, "The service is currently unavailable.")


@pytest.fixture(scope="module")
def server() -> Iterator[FakeGoogle]:
    """One for all tests: a process opens an engine once."""
    with fake_google() as fake:
        yield fake


@pytest.fixture
def google(server: FakeGoogle, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGoogle]:
    monkeypatch.setenv(ENDPOINT, server.endpoint)
    yield server
    server.faults.clear()
    server.requests.clear()
    server.spoken_at_most = 1_000_000


def texts(path: Path, *lines: str) -> Path:
    rows = [{"id": f"c{n}", "image_id": f"i{n}", "text": text} for n, text in enumerate(lines)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_papers_voices_are_the_six_wavenet_ones(google: FakeGoogle) -> None:
    voices = voice_set("wavenet", for_training=True)
    assert [str(voice) for voice in voices] == [f"google:en-US-Wavenet-{letter}" for letter in "ABCDEF"]
    assert {voice.name for voice in voices} < set(GoogleEngine().voices())


def test_rate_pitch_and_gain_go_to_the_service_and_its_level_stays(google: FakeGoogle) -> None:
    levels = {}
    for gain_db in (-4.0, 0.0, 4.0):
        samples = speak_clip(TEXT, Draw(Voice("google", VOICE), 1.1, -1.5, gain_db))
        levels[gain_db] = 20 * np.log10(np.sqrt(np.mean((samples / 32768.0) ** 2)))
    asked = google.requests[-1]
    assert asked.input.text == TEXT
    assert (asked.voice.name, asked.voice.language_code) == (VOICE, "en-US")
    audio = asked.audio_config
    assert (audio.speaking_rate, audio.pitch, audio.volume_gain_db) == (1.1, -1.5, 4.0)
    assert (audio.sample_rate_hertz, audio.audio_encoding.name) == (16000, "LINEAR16")
    # The fake's tone has an amplitude of .1: -23 dB, which our own levelling would have moved.
    for gain_db, level in levels.items():
        assert level == pytest.approx(20 * np.log10(0.1 / np.sqrt(2)) + gain_db, abs=0.1)


def test_the_engine_applies_the_gain_itself(google: FakeGoogle) -> None:
    engine = GoogleEngine()
    assert isinstance(engine, GainEngine)
    samples, rate_hz = engine.synthesize(TEXT, VOICE, 1.0, 0.0)
    fast, _ = engine.synthesize(TEXT, VOICE, 1.2, 0.0)
    assert rate_hz == 16000
    assert len(samples) / len(fast) == pytest.approx(1.2, rel=0.01)
    with pytest.raises(VoiceError, match='google has no voice "en-US-Nobody"; it has 7'):
        engine.synthesize(TEXT, "en-US-Nobody", 1.0, 0.0)


def test_a_full_quota_is_waited_for(google: FakeGoogle) -> None:
    engine = GoogleEngine(first_wait_seconds=0.01)
    engine.voices()
    google.faults.extend([QUOTA, AWAY, QUOTA])
    before = google.calls
    assert len(engine.synthesize(TEXT, VOICE, 1.0, 0.0)[0])
    assert google.calls - before == 4


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (QUOTA, r"quota is used up .*Quota exceeded for requests per minute\).*same command again later"),
        (AWAY, r"cannot be reached .*currently unavailable\); look at the network"),
        ((grpc.StatusCode.UNAUTHENTICATED, "Key expired."), r"did not take the credentials .*Key expired\)"),
        (
            (grpc.StatusCode.PERMISSION_DENIED, "API disabled."),
            r"did not take the credentials .*API disabled",
        ),
    ],
)
def test_what_does_not_pass_ends_in_one_sentence(
    google: FakeGoogle, fault: tuple[grpc.StatusCode, str], told: str
) -> None:
    engine = GoogleEngine(patience_seconds=0.3, first_wait_seconds=0.02)
    engine.voices()
    google.faults.extend([fault] * 1000)
    with pytest.raises(EngineDown, match=told) as caught:
        engine.synthesize(TEXT, VOICE, 1.0, 0.0)
    assert "\n" not in str(caught.value)
    waits = fault in (QUOTA, AWAY)
    assert (len(google.faults) < 998) == waits, "tried again or not"


def test_a_text_google_will_not_say_concerns_that_caption_alone(google: FakeGoogle, tmp_path: Path) -> None:
    engine = GoogleEngine()
    with pytest.raises(EngineError, match=r"did not take the request .*cannot be spoken") as caught:
        engine.synthesize("{unspeakable}", VOICE, 1.0, 0.0)
    assert not isinstance(caught.value, EngineDown)


def test_no_network_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv(ENDPOINT, f"127.0.0.1:{free.getsockname()[1]}")
    with pytest.raises(EngineDown, match="cannot be reached"):
        GoogleEngine(patience_seconds=0.2, first_wait_seconds=0.05).voices()


@pytest.mark.parametrize("named", [False, True])
def test_no_credentials_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: bool) -> None:
    monkeypatch.delenv(ENDPOINT, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")  # this is no machine of Google's: nobody is asked for a token
    if named:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    else:
        monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    with pytest.raises(EngineDown, match="needs Google's credentials and there are none: sign in") as caught:
        GoogleEngine()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shards", [None, 30])
def test_a_service_that_ends_in_the_middle_loses_nothing(
    google: FakeGoogle, tmp_path: Path, shards: int | None
) -> None:
    source, out = (
        texts(tmp_path / "texts.jsonl", *(f"A dog number {n}." for n in range(40))),
        tmp_path / "out",
    )
    google.spoken_at_most = 25
    with pytest.raises(EngineDown, match="Billing is off"):
        speak(source, out, voices="wavenet", workers=1, shards=shards)
    google.spoken_at_most = 1_000_000
    report = speak(source, out, voices="wavenet", workers=1, shards=shards)
    assert (report.clips, report.failures) == (40, {})
    assert len(google.requests) == 40, "a clip was paid for twice"
