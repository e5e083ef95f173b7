"""Captions -> spoken captions on disk, in parallel and resumable: the whole flow, top to bottom."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

from indexer.progress import Progress, Silent
from training.speak.clips import Format, SpeechError
from training.speak.estimate import Estimate, estimate
from training.speak.into_folder import make_folder
from training.speak.into_shards import make_shards
from training.speak.manifest import photos_in, seconds_made
from training.speak.report import SpeakReport
from training.speak.work import Work, prepare

Runner = Literal["local", "ray"]


def speak(
    source: Path,
    out: Path,
    *,
    voices: str = "train",
    per_caption: int = 1,
    format: Format | None = None,
    workers: int | None = None,
    seed: int = 0,
    limit: int | None = None,
    split: str | None = None,
    test_voices: str | None = None,
    for_training: bool = False,
    shards: int | None = None,
    pictures: bool = True,
    runner: Runner = "local",
    progress: Progress | None = None,
) -> SpeakReport:
    """Speak the captions of `source` into the folder `out`: clips, captions.jsonl, from Flickr8k the
    layout of its recorded captions, and images.jsonl for the photos of Flickr8k or those in images/ beside
    a texts.jsonl.

    `voices` is a set or a list as `training.voices.voice_set` takes it; `test_voices`, where given, speaks
    the captions of the split test instead. Reserved voices are refused for the split train, and among
    `voices` for any split with `for_training`. `format` is flac unless the source is a Flickr8k folder, whose
    readers want wav. With `shards`, WebDataset shards of so many clips come instead, with the pictures the
    source has unless `pictures` is false; `runner` "ray" makes them on a Ray cluster. What an earlier run
    made with the same parameters is kept; the manifest is written last, whole. Raises CaptionsError,
    VoiceError, EngineError, SpeechError for what cannot be done there, and WorkerDied if a worker process
    dies.
    """
    work = prepare(
        source,
        out,
        voices=voices,
        test_voices=test_voices,
        per_caption=per_caption,
        format=format,
        workers=workers,
        seed=seed,
        limit=limit,
        split=split,
        for_training=for_training,
        clips_a_shard=shards,
        with_pictures=pictures,
    )
    return perform(work, runner=runner, progress=progress)


def foresee(work: Work) -> Estimate:
    """What `perform` will take, for the clips or the shards that are not there yet."""
    if work.clips_a_shard is None:
        there = len(seconds_made(work.out, work.plan))
    else:
        there = len(list(work.out.glob("speech-*.tar"))) * work.clips_a_shard
    return estimate(
        work.plan,
        max(0, work.clips - there),
        work.out,
        workers=work.workers,
        format=work.format,
        with_pictures=work.with_pictures,
    )


def perform(work: Work, *, runner: Runner = "local", progress: Progress | None = None) -> SpeakReport:
    """Make what is missing of `work`. SpeechError for Ray without shards."""
    started = time.monotonic()
    shown = progress or Silent()
    if work.clips_a_shard is not None:
        outcome = make_shards(work, shown, on_ray=runner == "ray")
    elif runner == "ray":
        raise SpeechError("--engine ray makes shards; say how many clips each holds with --shards.")
    else:
        if work.lists_pictures:
            photos_in(work.out, work.captions)  # raises now, not when all is spoken
        outcome = make_folder(work, shown)
    return SpeakReport(
        manifest=outcome.manifest,
        clips=outcome.clips,
        made=outcome.clips - outcome.kept,
        kept=outcome.kept,
        voices=len(outcome.voices),
        speech_seconds=outcome.seconds,
        elapsed_seconds=time.monotonic() - started,
        skipped=dict(work.captions.skipped),
        failures=outcome.failures,
    )
