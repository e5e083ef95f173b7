"""Which voices train and which are held back for evaluation. The two never share a speaker.

Held back everywhere: the eSpeak variants in RESERVED_VARIANTS under any accent, every engine in
RESERVED_ENGINES, and the speakers of those engines wherever else they are found.
"""

from __future__ import annotations

from training.voices.engine import Voice, VoiceError
from training.voices.espeak import ACCENTS
from training.voices.flite import FLITE_VOICES
from training.voices.google import WAVENET_VOICES
from training.voices.pico import PICO_VOICES
from training.voices.rhvoice import RHVOICE_VOICES

RESERVED_VARIANTS = frozenset({"Annie", "linda", "Denis", "steph2"})
RESERVED_ENGINES = frozenset({"flite"})

# Variants that speak plainly, judged by their parameters, spectrograms and how well words spoken with them
# match the same words of other voices. Left out: whispers, croaks, robots, announcements, extreme formants
# (zac, shelby, Alicia, kaukovalta), and the near relatives of a reserved voice, which would make the reserve
# a formality (belinda and aunty of linda, steph and steph3 of steph2, victor of Denis).
TRAIN_VARIANTS: tuple[str, ...] = (
    "", "Alex", "Andrea", "Andy", "Diogo", "Gene", "Hugo", "Mario", "Michael", "Mike", "Nguyen", "Reed",
    "adam", "anika", "antonio", "david", "ed", "edward", "f1", "f2", "f3", "f4", "f5", "grandma",
    "grandpa", "gustave", "iven2", "klatt2", "klatt4", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8",
    "marcelo", "max", "miguel", "pablo", "paul", "pedro", "quincy", "rob", "robert", "sandro", "travis",
)  # fmt: skip
_MAIN_ACCENTS = ("en-us", "en-gb")
# Women are rare among the variants, so here they are most.
_OTHER_ACCENT_VARIANTS = ("", "f1", "f2", "f3", "f4", "f5", "grandma", "anika", "Andrea", "m3", "m7", "Alex")

# How often each voice of the other engines stands in `train-all`: with 28, they speak four clips in nine. One
# engine, however many voices it has, does not teach what speech is.
_OTHER_ENGINE_WEIGHT = 28

_NAMES = "train, train-all, wavenet, reserved, reserved-espeak, flite"


def voice_set(name: str, *, for_training: bool = False) -> tuple[Voice, ...]:
    """The voices of a set, or of a list with commas as `espeak:en-gb,mine.voices:Engine:anna`.

    `train` needs no system package; `train-all` adds the engines rhvoice and pico; `wavenet` is the paper's;
    `reserved` is `reserved-espeak` and `flite`. A voice that stands in a set several times is drawn that much
    more often. With `for_training` a reserved voice among them is a VoiceError: what evaluates must never
    train.
    """
    voices = _named(name)
    if for_training:
        refused = [voice for voice in voices if is_reserved(voice)]
        if refused:
            raise VoiceError(
                f"{refused[0]} is reserved for evaluation and may not be trained on; use the voice set train."
            )
    return voices


def is_reserved(voice: Voice) -> bool:
    held_back = {variant.lower() for variant in (*RESERVED_VARIANTS, *FLITE_VOICES)}
    return voice.engine in RESERVED_ENGINES or voice.variant.lower() in held_back


def _named(name: str) -> tuple[Voice, ...]:
    espeak_reserved = tuple(
        Voice("espeak", f"{a}+{v}") for a in _MAIN_ACCENTS for v in sorted(RESERVED_VARIANTS)
    )
    flite = tuple(Voice("flite", voice) for voice in FLITE_VOICES)
    match name:
        case "train":
            main = [_espeak(accent, variant) for accent in _MAIN_ACCENTS for variant in TRAIN_VARIANTS]
            accents = [accent for accent in ACCENTS if accent not in _MAIN_ACCENTS]
            return tuple(
                main + [_espeak(accent, variant) for accent in accents for variant in _OTHER_ACCENT_VARIANTS]
            )
        case "train-all":
            others = [Voice("rhvoice", voice) for voice in RHVOICE_VOICES]
            others += [Voice("pico", voice) for voice in PICO_VOICES]
            allowed = [voice for voice in others if not is_reserved(voice)]
            return _named("train") + tuple(allowed * _OTHER_ENGINE_WEIGHT)
        case "wavenet":
            return tuple(Voice("google", voice) for voice in WAVENET_VOICES)
        case "reserved":
            return espeak_reserved + flite
        case "reserved-espeak":
            return espeak_reserved
        case "flite":
            return flite
    if ":" not in name:
        raise VoiceError(
            f'"{name}" is not a voice set; there are {_NAMES}, or a list as espeak:en-us+f2,espeak:en-gb.'
        )
    return tuple(dict.fromkeys(Voice.parse(part) for part in name.split(",") if part.strip()))


def _espeak(accent: str, variant: str) -> Voice:
    return Voice("espeak", f"{accent}+{variant}" if variant else accent)
