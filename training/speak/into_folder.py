"""Each clip a file beside captions.jsonl, or the layout of the Flickr Audio Caption Corpus."""

from __future__ import annotations

from collections.abc import Iterator

from indexer.progress import Progress
from training.pool import spread
from training.speak.claim import claimed
from training.speak.clips import ClipJob, is_whole, make_clips
from training.speak.manifest import JOURNAL, MANIFEST, line, seconds_made, write_manifest
from training.speak.report import Outcome
from training.speak.work import Work
from training.voices import EngineDown

_CLIPS_A_TASK = 16


def make_folder(work: Work, progress: Progress) -> Outcome:
    """Make what is missing; the journal holds what is made until the manifest does. EngineDown goes up."""
    out, clips = work.out, list(work.plan)
    paths = {clip.id: out / clip.path for clip in clips}
    seconds = {id: s for id, s in seconds_made(out, clips).items() if is_whole(paths[id], s)}
    kept = len(seconds)
    todo = {clip.id: clip for clip in clips if clip.id not in seconds}
    jobs = [ClipJob(id, clip.caption.text, clip.draw, paths[id], work.format) for id, clip in todo.items()]
    failures: dict[str, str] = {}
    with claimed(out, JOURNAL) as journal, progress.stage("speak", len(jobs)) as stage:
        journal.write("\n")  # ends a line that a kill cut short
        spoken = 0
        for results in spread(make_clips, _tasks(jobs), work.workers if len(jobs) > _CLIPS_A_TASK else 1):
            for result in results:
                if result.failure is not None:
                    failures[result.clip_id] = result.failure
                else:
                    seconds[result.clip_id] = result.seconds
                    journal.write(line(todo[result.clip_id].record(result.seconds)))
            journal.flush()
            if results[-1].down:
                raise EngineDown(results[-1].failure)
            spoken += len(results)
            stage.reach(spoken)
    done = [clip for clip in clips if clip.id in seconds]
    write_manifest(out, done, seconds, facc=work.facc, pictures=work.lists_pictures)
    return Outcome(
        manifest=out / MANIFEST,
        clips=len(done),
        kept=kept,
        voices=frozenset(str(clip.draw.voice) for clip in done),
        seconds=sum(seconds[clip.id] for clip in done),
        failures=failures,
    )


def _tasks(jobs: list[ClipJob]) -> Iterator[list[ClipJob]]:
    for at in range(0, len(jobs), _CLIPS_A_TASK):
        yield jobs[at : at + _CLIPS_A_TASK]
