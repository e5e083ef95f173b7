"""How much of the bare engine's speed `speak` keeps: processor time a clip, side by side in one run.

    python -m tests.bench.speak_throughput --out tests/bench/results/speak_throughput.json

"bare" is the engine's synthesize in a loop and nothing else. The others do all that `speak` does: text,
engine, resampling, level, encoding, files or shards, journal. The processor time of this process and of its
children counts, not the clock, so that other work on the machine says little; rounds alternate, medians are
kept.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

from indexer.cores import available_cores
from training.speak import draw, speak, spoken_text
from training.voices import open_engine, voice_set


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--voices", default="train", help="A voice set or a list.")
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(Path(folder), options.voices, options.clips, options.rounds)
    for name, row in measured["rows"].items():
        print(f"{name:24s} {row['cpu_ms_a_clip']:8.3f} ms   {row['share_of_bare']:.3f} of bare")
    if options.out is not None:
        options.out.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


def measure(folder: Path, voices: str, clips: int, rounds: int) -> dict[str, Any]:
    source = folder / "texts.jsonl"
    rows = [{"id": f"c{n}", "image_id": f"i{n}", "text": text} for n, text in enumerate(sentences(clips))]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    chosen, cores = voice_set(voices), available_cores()
    engines = {voice.engine: open_engine(voice.engine) for voice in chosen}

    def bare() -> None:
        for row in rows:
            drawn = draw(0, row["id"], chosen)
            engine, text = engines[drawn.voice.engine], spoken_text(row["text"])
            engine.synthesize(text, drawn.voice.name, drawn.rate, drawn.pitch_semitones)

    def spoken(**options: object) -> Callable[[], None]:
        def run() -> None:
            with tempfile.TemporaryDirectory(dir=folder) as out:
                speak(source, Path(out), voices=voices, **options)  # type: ignore[arg-type]  # checked by speak

        return run

    ways: dict[str, Callable[[], None]] = {
        "bare": bare,
        "wav files": spoken(format="wav", workers=1),
        "flac files": spoken(format="flac", workers=1),
        "wav shards": spoken(format="wav", workers=1, shards=100),
        "flac shards": spoken(format="flac", workers=1, shards=100),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()  # voices loaded, files cached
    for _ in range(rounds):
        for name, way in ways.items():
            before = cpu_seconds()
            way()
            taken[name].append((cpu_seconds() - before) / clips * 1000)
    result = {name: statistics.median(times) for name, times in taken.items()}
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores, {cores} usable, {platform.processor() or platform.machine()}",
        "python": platform.python_version(),
        "engine": ", ".join(sorted(engines)),
        "clips": clips,
        "rounds": rounds,
        "rows": {
            name: {"cpu_ms_a_clip": round(ms, 4), "share_of_bare": round(result["bare"] / ms, 4)}
            for name, ms in result.items()
        },
    }


def cpu_seconds() -> float:
    """Of this process and of its children that have ended: flite and pico are programs."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def sentences(count: int) -> list[str]:
    """As long as those of Flickr8k: ten to twelve words."""
    who = ("A young boy", "Two brown dogs", "A woman in a red coat", "A group of tourists", "The old man")
    does = ("runs quickly along", "jumps over", "is sitting quietly beside", "looks at", "walks slowly past")
    what = ("a wooden boat", "the tall green fence", "some small children", "an empty yellow bus", "the wall")
    where = ("on the beach .", "in a crowded street .", "near the cold lake .", "at dusk .", "in the snow .")
    combined = [" ".join(parts) for parts in product(who, does, what, where)]
    step = 197  # coprime to their number, so that neighbours differ in every part
    return [combined[n * step % len(combined)] for n in range(count)]


if __name__ == "__main__":
    main()
