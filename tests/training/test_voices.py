"""Voices: the same samples every time, every voice its own, and the reserve never in training."""

import ctypes
import ctypes.util
import shutil
from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest

from training.voices import (
    RESERVED_ENGINES,
    RESERVED_VARIANTS,
    EngineError,
    EspeakEngine,
    FliteEngine,
    PicoEngine,
    RhvoiceEngine,
    Voice,
    VoiceError,
    is_reserved,
    open_engine,
    voice_set,
)

TEXT = "A young boy slides down a wet slide in a green park."
needs_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="the program flite is not installed")
needs_pico = pytest.mark.skipif(
    shutil.which("pico2wave") is None, reason="the program pico2wave is not installed"
)
needs_rhvoice = pytest.mark.skipif(
    ctypes.util.find_library("RHVoice") is None, reason="the library RHVoice is not installed"
)


@pytest.fixture(scope="module")
def espeak() -> EspeakEngine:
    return EspeakEngine()


def fundamental_hz(samples: npt.NDArray[np.int16], rate_hz: int) -> float:
    """Median over loud frames of the strongest autocorrelation lag between 60 and 400 Hz."""
    frame, found = 2 * int(0.06 * rate_hz), []
    signal = samples.astype(np.float64)
    for start in range(0, len(signal) - frame, frame // 4):
        piece = signal[start : start + frame] - signal[start : start + frame].mean()
        if np.mean(piece**2) < 0.2 * np.mean(signal**2):
            continue
        spectrum = np.fft.rfft(piece, 4 * frame)
        correlation = np.fft.irfft(np.abs(spectrum) ** 2)
        low, high = rate_hz // 400, rate_hz // 60
        lag = low + int(correlation[low:high].argmax())
        if correlation[lag] > 0.5 * correlation[0]:
            found.append(rate_hz / lag)
    return float(np.median(found))


def test_samples_do_not_depend_on_what_was_spoken_before(espeak: EspeakEngine) -> None:
    names = (
        "en-us",
        "en-us+f1",
        "en-gb+klatt4",
        "en-029+m3",
    )  # f1 flutters, klatt has noise sources of its own
    first = {name: espeak.synthesize(TEXT, name, 1.0, 0.0)[0] for name in names}
    espeak.synthesize("Something else entirely.", "en-gb-scotland+grandma", 0.8, 2.0)
    other = EspeakEngine()
    for name in reversed(names):
        assert np.array_equal(espeak.synthesize(TEXT, name, 1.0, 0.0)[0], first[name])
        assert np.array_equal(other.synthesize(TEXT, name, 1.0, 0.0)[0], first[name])


def test_every_voice_sounds_unlike_every_other(espeak: EspeakEngine) -> None:
    # The library takes a variant it does not know for none, without a word: then two voices would be one.
    voices = voice_set("train") + voice_set("reserved-espeak")
    # Words the accents say differently; the whole waveform is compared.
    spoken: dict[bytes, Voice] = {}
    for voice in voices:
        samples, rate_hz = espeak.synthesize("Two girls are sitting on the grass.", voice.name, 1.0, 0.0)
        assert rate_hz == 22050
        assert len(samples) > rate_hz, f"{voice} spoke for less than a second"
        twin = spoken.setdefault(samples.tobytes(), voice)
        assert twin == voice, f"{voice} and {twin} are the same voice"


@pytest.mark.parametrize("name", ["en-us+f1", "en-gb+m7"])
def test_rate_and_pitch_do_what_they_say(espeak: EspeakEngine, name: str) -> None:
    plain, rate_hz = espeak.synthesize(TEXT, name, 1.0, 0.0)
    fast, _ = espeak.synthesize(TEXT, name, 1.2, 0.0)
    slow, _ = espeak.synthesize(TEXT, name, 0.8, 0.0)
    assert len(plain) / len(fast) == pytest.approx(1.2, rel=0.04)
    assert len(plain) / len(slow) == pytest.approx(0.8, rel=0.04)
    for semitones in (-2.0, 2.0):
        moved, _ = espeak.synthesize(TEXT, name, 1.0, semitones)
        ratio = fundamental_hz(moved, rate_hz) / fundamental_hz(plain, rate_hz)
        assert 12 * np.log2(ratio) == pytest.approx(semitones, abs=0.6)


def test_training_and_reserved_voices_share_no_variant_and_no_engine() -> None:
    train, reserved = voice_set("train", for_training=True), voice_set("reserved")
    assert {v.variant for v in train}.isdisjoint({v.variant for v in reserved})
    assert {v.engine for v in train}.isdisjoint(RESERVED_ENGINES)
    assert {v.variant for v in train}.isdisjoint(RESERVED_VARIANTS)
    assert not any(map(is_reserved, train))
    assert all(map(is_reserved, reserved))
    assert {v.variant for v in voice_set("reserved-espeak")} == set(RESERVED_VARIANTS)
    assert len(train) == len(set(train)) >= 40
    assert len({v.name.partition("+")[0] for v in train}) >= 5
    assert set(voice_set("reserved")) == {*voice_set("reserved-espeak"), *voice_set("flite")}


@pytest.mark.parametrize(
    "name",
    [
        "reserved",
        "reserved-espeak",
        "flite",
        "espeak:en-us,espeak:en-029+linda",
        "espeak:en-us+LINDA",
        "flite:kal",
        "rhvoice:slt",
    ],
)
def test_training_with_a_reserved_voice_is_refused(name: str) -> None:
    assert voice_set(name)
    with pytest.raises(VoiceError, match="reserved for evaluation"):
        voice_set(name, for_training=True)


def test_voices_are_named_engine_colon_voice() -> None:
    assert voice_set("espeak:en-us+f2, flite:slt") == (Voice("espeak", "en-us+f2"), Voice("flite", "slt"))
    assert str(Voice("espeak", "en-us+f2")) == "espeak:en-us+f2"
    assert Voice.parse("espeak:en-gb").variant == ""
    assert Voice.parse("flite:slt").variant == "slt"
    for wrong in ("trian", "espeak:", ":slt"):
        with pytest.raises(VoiceError):
            voice_set(wrong)


@pytest.mark.parametrize(
    ("name", "told"),
    [("en-us+annie", 'did you mean "Annie"'), ("en-us+nobody", "no voice variant"), ("de", "no English")],
)
def test_an_unknown_voice_is_an_error_never_a_fallback(espeak: EspeakEngine, name: str, told: str) -> None:
    with pytest.raises(VoiceError, match=told):
        espeak.synthesize(TEXT, name, 1.0, 0.0)
    assert name not in espeak.voices()


def test_every_voice_of_the_sets_is_one_its_engine_has(espeak: EspeakEngine) -> None:
    names = {v.name for v in voice_set("train") + voice_set("reserved-espeak")}
    assert names <= set(espeak.voices())


def test_the_set_of_all_engines_adds_voices_that_may_train_and_weighs_them() -> None:
    train, every = voice_set("train"), voice_set("train-all", for_training=True)
    assert every[: len(train)] == train
    added = Counter(every[len(train) :])
    assert {str(voice) for voice in added} == {
        "rhvoice:alan", "rhvoice:bdl", "rhvoice:clb", "pico:en-US", "pico:en-GB",
    }  # fmt: skip
    # slt speaks for flite, too: a voice heard in training would not be an unheard one.
    assert is_reserved(Voice("rhvoice", "slt"))
    assert set(added.values()) == {28}
    assert added.total() / len(every) == pytest.approx(4 / 9, abs=0.02)


def test_an_absent_engine_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(EngineError, match="apt install flite"):
        open_engine("flite")
    with pytest.raises(EngineError, match="apt install libttspico-utils"):
        open_engine("pico")

    def not_there(name: str) -> ctypes.CDLL:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", not_there)
    with pytest.raises(EngineError, match="apt install librhvoice5 rhvoice-english"):
        open_engine("rhvoice")
    with pytest.raises(VoiceError, match="no speech engine"):
        open_engine("festival")


@needs_flite
@pytest.mark.parametrize("name", ["slt", "rms", "awb", "kal", "kal16"])
def test_flite_speaks_at_the_rate_asked(name: str) -> None:
    flite = FliteEngine()
    plain, rate_hz = flite.synthesize(TEXT, name, 1.0, 0.0)
    fast, _ = flite.synthesize(TEXT, name, 1.2, 0.0)
    assert rate_hz in (8000, 16000)
    assert len(plain) / len(fast) == pytest.approx(1.2, rel=0.05)
    assert np.array_equal(plain, flite.synthesize(TEXT, name, 1.0, 0.0)[0])


@needs_flite
def test_flite_shifts_pitch_and_refuses_unknown_voices() -> None:
    flite = FliteEngine()
    plain, rate_hz = flite.synthesize(TEXT, "slt", 1.0, 0.0)
    high, _ = flite.synthesize(TEXT, "slt", 1.0, 2.0)
    assert 12 * np.log2(fundamental_hz(high, rate_hz) / fundamental_hz(plain, rate_hz)) == pytest.approx(
        2.0, abs=0.5
    )
    with pytest.raises(VoiceError, match='no voice "clb"'):
        flite.synthesize(TEXT, "clb", 1.0, 0.0)


@needs_pico
@pytest.mark.parametrize("name", ["en-US", "en-GB"])
def test_pico_speaks_at_the_rate_asked_and_the_same_every_time(name: str) -> None:
    pico = PicoEngine()
    plain, rate_hz = pico.synthesize(TEXT, name, 1.0, 0.0)
    fast, _ = pico.synthesize(TEXT, name, 1.2, 0.0)
    slow, _ = pico.synthesize(TEXT, name, 0.8, 0.0)
    assert rate_hz == 16000
    # Pico keeps its pauses, so that the whole changes a little less than the words do.
    assert len(plain) / len(fast) == pytest.approx(1.2, rel=0.05)
    assert len(plain) / len(slow) == pytest.approx(0.8, rel=0.05)
    assert np.array_equal(plain, PicoEngine().synthesize(TEXT, name, 1.0, 0.0)[0])


@needs_pico
def test_pico_shifts_pitch_takes_marks_as_words_and_refuses_unknown_voices() -> None:
    pico = PicoEngine()
    plain, rate_hz = pico.synthesize(TEXT, "en-US", 1.0, 0.0)
    high, _ = pico.synthesize(TEXT, "en-US", 1.0, 2.0)
    assert 12 * np.log2(fundamental_hz(high, rate_hz) / fundamental_hz(plain, rate_hz)) == pytest.approx(
        2.0, abs=0.6
    )
    marked, _ = pico.synthesize("cats & dogs </pitch>", "en-US", 1.0, 0.0)
    assert len(marked) > rate_hz, "the marks of the text ended it"
    with pytest.raises(VoiceError, match='no voice "de-DE"'):
        pico.synthesize(TEXT, "de-DE", 1.0, 0.0)


@needs_rhvoice
@pytest.mark.parametrize("name", ["alan", "bdl", "clb", "slt"])
def test_rhvoice_speaks_at_the_rate_asked(name: str) -> None:
    rhvoice = RhvoiceEngine()
    plain, rate_hz = rhvoice.synthesize(TEXT, name, 1.0, 0.0)
    assert rate_hz == 24000
    for rate in (0.8, 1.2):
        assert len(plain) / len(rhvoice.synthesize(TEXT, name, rate, 0.0)[0]) == pytest.approx(rate, rel=0.02)


@needs_rhvoice
def test_rhvoice_says_the_same_in_any_order_and_in_any_engine() -> None:
    first, second = RhvoiceEngine(), RhvoiceEngine()
    names = first.voices()
    assert set(names) == {"alan", "bdl", "clb", "slt"}
    spoken = {name: first.synthesize(TEXT, name, 1.0, 0.5)[0] for name in names}
    assert len({samples.tobytes() for samples in spoken.values()}) == len(names)
    first.synthesize("Something else entirely.", "alan", 1.2, -2.0)
    for name in reversed(names):
        assert np.array_equal(first.synthesize(TEXT, name, 1.0, 0.5)[0], spoken[name])
        assert np.array_equal(second.synthesize(TEXT, name, 1.0, 0.5)[0], spoken[name])


@needs_rhvoice
def test_rhvoice_shifts_pitch_and_refuses_unknown_voices() -> None:
    rhvoice = RhvoiceEngine()
    plain, rate_hz = rhvoice.synthesize(TEXT, "clb", 1.0, 0.0)
    high, _ = rhvoice.synthesize(TEXT, "clb", 1.0, 2.0)
    assert 12 * np.log2(fundamental_hz(high, rate_hz) / fundamental_hz(plain, rate_hz)) == pytest.approx(
        2.0, abs=0.6
    )
    with pytest.raises(VoiceError, match='no voice "anna"'):
        rhvoice.synthesize(TEXT, "anna", 1.0, 0.0)
