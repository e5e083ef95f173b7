"""Captions -> spoken captions on disk, in parallel and resumable: the whole flow, top to bottom."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

from indexer.cores import available_cores
from indexer.progress import Progress, Silent
from training.pool import worker_pool
from training.speak.captions import TRAIN_SPLIT, Captions, read_captions
from training.speak.clips import ClipJob, ClipResult, Format, SpeechError, is_whole, make_clips
from training.speak.manifest import JOURNAL, MANIFEST, line, plan, seconds_made, write_manifest
from training.voices import Voice, VoiceError, is_reserved, open_engine, voice_set

_CLIPS_A_TASK = 16
_TASKS_AHEAD = 4  # tasks waiting a worker: enough that none idles, few enough that a kill loses little


@dataclass(frozen=True)
class SpeakReport:
    """What a run did. `failures` gives the captions that could not be spoken, by id, with the reason."""

    manifest: Path
    clips: int
    made: int
    kept: int
    voices: int
    speech_seconds: float
    elapsed_seconds: float
    skipped: dict[str, int]
    failures: dict[str, str]

    def __str__(self) -> str:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in self.skipped.items())
        return (
            f"{self.clips} spoken captions ({self.speech_seconds / 3600:.2f} h, {self.voices} voices) in "
            f"{self.manifest}: {self.made} made, {self.kept} kept, {len(self.failures)} failed, "
            f"{sum(self.skipped.values())} skipped"
            f"{f' ({reasons})' if reasons else ''}; {self.elapsed_seconds:.1f} s."
        )


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
    progress: Progress | None = None,
) -> SpeakReport:
    """Speak the captions of `source` into the folder `out`: clips, captions.jsonl, and FACC from Flickr8k.

    `voices` is a set or a list as `training.voices.voice_set` takes it; `test_voices`, where given, speaks
    the captions of the split test instead. Reserved voices are refused for the split train, and among
    `voices` for any split with `for_training`. `format` is flac unless the source is a Flickr8k folder, whose
    readers want wav. Clips an earlier run made with the same parameters are kept; the manifest is written
    last, whole. Raises CaptionsError, VoiceError, EngineError, SpeechError for what cannot be
    done there, and WorkerDied if a worker process dies.
    """
    started = time.monotonic()
    if per_caption < 1:
        raise SpeechError(f"{per_caption} clips a caption were asked for; ask for at least 1.")
    chosen = voice_set(voices, for_training=for_training)
    chosen_for_test = voice_set(test_voices) if test_voices is not None else chosen
    _check_engines((*chosen, *chosen_for_test))
    captions = read_captions(source, split=split, limit=limit)
    _check_training_split(captions, chosen)
    extension: Format = format or ("wav" if captions.flickr8k else "flac")
    clips = plan(
        captions.items,
        chosen,
        chosen_for_test,
        seed=seed,
        per_caption=per_caption,
        extension=extension,
        facc=captions.flickr8k,
    )

    paths = {clip.id: out / clip.path for clip in clips}
    seconds = {id: s for id, s in seconds_made(out, clips).items() if is_whole(paths[id], s)}
    kept = len(seconds)
    todo = {clip.id: clip for clip in clips if clip.id not in seconds}
    jobs = [ClipJob(id, clip.caption.text, clip.draw, paths[id], extension) for id, clip in todo.items()]
    failures: dict[str, str] = {}
    out.mkdir(parents=True, exist_ok=True)
    with (
        (out / JOURNAL).open("a", encoding="utf-8") as journal,
        (progress or Silent()).stage("speak", len(jobs)) as stage,
    ):
        _claim(journal, out)
        journal.write("\n")  # ends a line that a kill cut short
        spoken = 0
        for results in _made(jobs, workers or available_cores()):
            for result in results:
                if result.failure is not None:
                    failures[result.clip_id] = result.failure
                else:
                    seconds[result.clip_id] = result.seconds
                    journal.write(line(todo[result.clip_id].record(result.seconds)))
            journal.flush()
            spoken += len(results)
            stage.reach(spoken)

    done = [clip for clip in clips if clip.id in seconds]
    write_manifest(out, done, seconds, facc=captions.flickr8k)
    return SpeakReport(
        manifest=out / MANIFEST,
        clips=len(done),
        made=len(done) - kept,
        kept=kept,
        voices=len({clip.draw.voice for clip in done}),
        speech_seconds=sum(seconds[clip.id] for clip in done),
        elapsed_seconds=time.monotonic() - started,
        skipped=dict(captions.skipped),
        failures=failures,
    )


def _claim(journal: TextIO, out: Path) -> None:
    """Only one run at a time writes into a folder; the claim ends with the process, however it ends."""
    try:
        fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise SpeechError(
            f"Another run is speaking into {out}; wait for it or name another folder."
        ) from error


def _check_engines(voices: Sequence[Voice]) -> None:
    """Fail now, not at clip 1,000: every engine opens, and has every voice."""
    for name in dict.fromkeys(voice.engine for voice in voices):
        known = set(open_engine(name).voices())
        for voice in voices:
            if voice.engine == name and voice.name not in known:
                raise VoiceError(f'The engine {name} has no voice "{voice.name}" (names are case sensitive).')


def _check_training_split(captions: Captions, voices: Sequence[Voice]) -> None:
    reserved = next(filter(is_reserved, voices), None)
    if reserved is not None and any(caption.split == TRAIN_SPLIT for caption in captions.items):
        raise VoiceError(
            f"{reserved} is reserved for evaluation and may not speak captions of the split train; "
            "name another split or use the voice set train."
        )


def _made(jobs: Sequence[ClipJob], workers: int) -> Iterator[list[ClipResult]]:
    """Results in the order they come, a task at a time. One worker means this process."""
    tasks = iter([list(jobs[at : at + _CLIPS_A_TASK]) for at in range(0, len(jobs), _CLIPS_A_TASK)])
    if workers == 1 or len(jobs) <= _CLIPS_A_TASK:
        yield from map(make_clips, tasks)
        return
    with worker_pool(workers) as pool:
        waiting: set[Future[list[ClipResult]]] = {
            pool.submit(make_clips, task) for task in islice(tasks, workers * _TASKS_AHEAD)
        }
        while waiting:
            finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            waiting |= {pool.submit(make_clips, task) for task in islice(tasks, len(finished))}
            for future in finished:
                yield future.result()
