"""Which clips a run makes, and the record that makes each of them again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from training.shards import shard_key
from training.speak.caption import TEST_SPLIT, Caption, CaptionsError
from training.speak.draws import Draw, draw
from training.voices import Voice

# Raised whenever the same parameters would give other samples, so that clips of an older version are made
# again.
RECIPE = 2

Record = dict[str, str | int | float]


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip to be made: which caption, how, and where (in the corpus folder, or inside its shard)."""

    id: str
    caption: Caption
    draw: Draw
    speaker: int
    path: str

    def record(self, seconds: float) -> Record:
        """The clip's line of the manifest: with the text, all it takes to make the clip again."""
        record: Record = {
            "id": self.id,
            "path": self.path,
            "image_id": self.caption.image_id,
            "text": self.caption.text,
            "voice": str(self.draw.voice),
            "engine": self.draw.voice.engine,
            "speaker": self.speaker,
            "rate": self.draw.rate,
            "pitch": self.draw.pitch_semitones,
            "gain_db": self.draw.gain_db,
            "seconds": seconds,
            "recipe": RECIPE,
        }
        if self.caption.split is not None:
            record["split"] = self.caption.split
        return record


@dataclass(frozen=True)
class Plan:
    """Every clip of a run, in order: captions of the split test with `test_voices`, the others with `voices`.

    The first clip of a caption keeps its id, the others add `-2`, `-3`, ... Iterating reads the captions
    again; CaptionsError if one id comes twice. Without a `folder`, paths are names inside a shard.
    """

    captions: Iterable[Caption]
    voices: Sequence[Voice]
    test_voices: Sequence[Voice]
    seed: int
    per_caption: int
    extension: str
    folder: str | None = None

    def __iter__(self) -> Iterator[Clip]:
        speakers = {
            voice: number for number, voice in enumerate(dict.fromkeys((*self.voices, *self.test_voices)))
        }
        ids: set[str] = set()
        for caption in self.captions:
            voices = self.test_voices if caption.split == TEST_SPLIT else self.voices
            for take in range(1, self.per_caption + 1):
                clip_id = caption.id if take == 1 else f"{caption.id}-{take}"
                if self.per_caption > 1:  # captions alone are known to differ
                    if clip_id in ids:
                        raise CaptionsError(f'Two clips would have the id "{clip_id}"; rename that caption.')
                    ids.add(clip_id)
                drawn = draw(self.seed, clip_id, voices)
                stem = shard_key(clip_id) if self.folder is None else f"{self.folder}/{clip_id}"
                yield Clip(clip_id, caption, drawn, speakers[drawn.voice], f"{stem}.{self.extension}")
