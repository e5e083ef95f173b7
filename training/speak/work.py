"""What a run is to do, checked before it begins: voices, engines, captions, and whether they go together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from indexer.cores import available_cores
from training.speak.caption import TRAIN_SPLIT
from training.speak.captions import Captions, read_captions
from training.speak.clips import Format, SpeechError
from training.speak.manifest import FACC_FOLDER, PICTURES
from training.speak.plan import Plan
from training.speak.shard import ShardJob
from training.voices import Voice, VoiceError, is_reserved, open_engine, voice_set


@dataclass(frozen=True)
class Work:
    """A run, ready to begin. `clips_a_shard` is None where each clip becomes a file."""

    captions: Captions
    plan: Plan
    clips: int
    out: Path
    format: Format
    workers: int
    clips_a_shard: int | None
    with_pictures: bool

    @property
    def facc(self) -> bool:
        """Whether to lay the clips out as the Flickr Audio Caption Corpus."""
        return self.captions.flickr8k and self.clips_a_shard is None

    @property
    def lists_pictures(self) -> bool:
        """Whether to list the pictures beside the clips: Flickr8k's photos, and those beside a texts.jsonl,
        unless they are listed there and the clips go elsewhere."""
        if self.clips_a_shard is not None or self.facc:
            return self.facc
        source = self.captions.source
        texts = source / "texts.jsonl" if source.is_dir() else source
        beside = texts.parent / PICTURES
        return texts.suffix in {".jsonl", ".ndjson"} and (
            not beside.is_file() or texts.parent.resolve() == self.out.resolve()
        )

    def shards(self) -> Iterator[ShardJob]:
        """The shards to make, in order; read from the source as they are asked for."""
        clips, number = iter(self.plan), 0
        while batch := tuple(islice(clips, self.clips_a_shard)):
            yield ShardJob(number, self.out, batch, self.format, self.with_pictures)
            number += 1


def prepare(
    source: Path,
    out: Path,
    *,
    voices: str = "train",
    test_voices: str | None = None,
    per_caption: int = 1,
    format: Format | None = None,
    workers: int | None = None,
    seed: int = 0,
    limit: int | None = None,
    split: str | None = None,
    for_training: bool = False,
    clips_a_shard: int | None = None,
    with_pictures: bool = True,
) -> Work:
    """Read the source once, to the end, and open every engine. See `speak` for what the options mean.

    Raises CaptionsError, VoiceError, EngineError, SpeechError.
    """
    if per_caption < 1:
        raise SpeechError(f"{per_caption} clips a caption were asked for; ask for at least 1.")
    chosen = voice_set(voices, for_training=for_training)
    chosen_for_test = voice_set(test_voices) if test_voices is not None else chosen
    _check_engines((*chosen, *chosen_for_test))
    captions = read_captions(source, split=split, limit=limit)
    count = _check_and_count(captions, chosen)
    sharded = clips_a_shard is not None
    extension: Format = format or ("wav" if captions.flickr8k and not sharded else "flac")
    folder = None if sharded else f"{FACC_FOLDER}/wavs" if captions.flickr8k else "speech"
    plan = Plan(captions, chosen, chosen_for_test, seed, per_caption, extension, folder)
    return Work(
        captions=captions,
        plan=plan,
        clips=count * per_caption,
        out=out,
        format=extension,
        workers=workers or available_cores(),
        clips_a_shard=clips_a_shard,
        with_pictures=sharded and with_pictures,
    )


def _check_engines(voices: Sequence[Voice]) -> None:
    """Fail now, not at clip 1,000: every engine opens, and has every voice."""
    for name in dict.fromkeys(voice.engine for voice in voices):
        known = set(open_engine(name).voices())
        for voice in voices:
            if voice.engine == name and voice.name not in known:
                raise VoiceError(f'The engine {name} has no voice "{voice.name}" (names are case sensitive).')


def _check_and_count(captions: Captions, voices: Sequence[Voice]) -> int:
    """How many captions there are; VoiceError where a reserved voice would speak one of the split train."""
    reserved = next(filter(is_reserved, voices), None)
    count = 0
    for caption in captions:
        count += 1
        if reserved is not None and caption.split == TRAIN_SPLIT:
            raise VoiceError(
                f"{reserved} is reserved for evaluation and may not speak captions of the split train; "
                "name another split or use the voice set train."
            )
    return count
