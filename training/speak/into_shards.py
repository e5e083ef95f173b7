"""WebDataset shards, by this machine's workers or by Ray; speak.json, written last, says what they are."""

from __future__ import annotations

import json
from typing import Any

from indexer.durable import replace_text
from indexer.progress import Progress
from training.pool import spread
from training.speak.claim import claimed
from training.speak.clips import SpeechError
from training.speak.on_ray import make_shards_on_ray
from training.speak.plan import RECIPE
from training.speak.report import Outcome
from training.speak.shard import make_shard
from training.speak.work import Work

MANIFEST = "speak.json"
_LOCK = "speak.lock"


def make_shards(work: Work, progress: Progress, *, on_ray: bool) -> Outcome:
    """Make what is missing of every shard. SpeechError where the folder holds another run's shards."""
    shards = -(-work.clips // (work.clips_a_shard or 1))
    last = f"speech-{shards - 1:06d}.tar"
    over = min((path.name for path in work.out.glob("speech-*.tar") if path.name > last), default=None)
    if over is not None:
        raise SpeechError(
            f"{work.out} holds {over} and this run makes {shards} shards; it is another run's, so "
            "name another folder or take it away."
        )
    done = made = 0
    seconds = 0.0
    voices: frozenset[str] = frozenset()
    failures: dict[str, str] = {}
    with claimed(work.out, _LOCK), progress.stage("speak", work.clips) as stage:
        results = (
            make_shards_on_ray(work.shards()) if on_ray else spread(make_shard, work.shards(), work.workers)
        )
        for result in results:
            done, made = done + result.clips, made + result.made
            seconds, voices = seconds + result.seconds, voices | result.voices
            failures |= result.failures
            stage.reach(done + len(failures))
    told: dict[str, Any] = {
        "recipe": RECIPE,
        "source": work.captions.source.resolve().name,  # the same wherever it lies
        "seed": work.plan.seed,
        "per_caption": work.plan.per_caption,
        "voices": sorted(voices),
        "format": work.format,
        "shards": shards,
        "clips_a_shard": work.clips_a_shard,
        "clips": done,
        "speech_seconds": round(seconds, 2),
        "failures": len(failures),
        "skipped": dict(work.captions.skipped),
    }
    replace_text(work.out / MANIFEST, json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    return Outcome(work.out / MANIFEST, done, done - made, voices, seconds, failures)
