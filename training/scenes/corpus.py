"""Writes a corpus folder of rendered scenes: images/, images.jsonl, texts.jsonl.

Scene i depends on (seed, i) and its level alone, never on how many are asked for or by how many processes.
A run that was killed goes on where it stopped: a picture already there is known by the recipe in its comment.
"""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from indexer.cores import available_cores
from indexer.progress import Progress, Silent, Stage
from training.pool import worker_pool
from training.scenes.captions import captions
from training.scenes.content import Scene, draw_scene
from training.scenes.painting import paint

RECIPE_VERSION = 3
JPEG_QUALITY = 88
CHUNK = 32

Split = Callable[[int], str]


class CorpusError(ValueError):
    """Figures that do not fit together."""


@dataclass(frozen=True)
class CorpusSummary:
    """What a run left: pictures and captions listed, and how many pictures it had to draw."""

    out: Path
    images: int
    texts: int
    drawn: int


@dataclass(frozen=True)
class Recipe:
    """All that decides the bytes of a corpus."""

    out: Path
    seed: int
    size: int
    close_ups: float
    held_out: int
    prefix: str

    def name(self, index: int) -> str:
        return f"{self.prefix}-{index:06d}"

    def path(self, index: int) -> Path:
        return self.out / "images" / f"{self.name(index)}.jpg"

    def level(self, index: int) -> str:
        """Close-ups are a curriculum: what is held out for dev and test are scenes."""
        drawn = index >= self.held_out and self._rng(index, "level").random() < self.close_ups
        return "close-up" if drawn else "scene"

    def scene(self, index: int) -> tuple[Scene, Random]:
        """The scene, and the generator in the state from which its picture is painted."""
        rng = self._rng(index, "picture")
        return draw_scene(rng, self.level(index)), rng

    def captions(self, index: int) -> list[str]:
        return captions(self.scene(index)[0], self._rng(index, "captions"))

    def comment(self, index: int) -> bytes:
        told = f"{self.seed}/{index} {self.level(index)} {self.size}px"
        return f"rendered scene v{RECIPE_VERSION} {told}".encode()

    def _rng(self, index: int, purpose: str) -> Random:
        return Random(f"{self.seed}/{index}/{purpose}")


def render_corpus(
    out: Path,
    count: int,
    seed: int,
    *,
    size: int = 256,
    dev: int = 0,
    test: int = 0,
    close_ups: float = 0.0,
    prefix: str = "scene",
    workers: int | None = None,
    progress: Progress | None = None,
) -> CorpusSummary:
    """`count` pictures of size x size with five captions each.

    The first `test` scenes are the test split, the next `dev` the dev split, all others train, so that a
    corpus grows without moving anything between splits. `close_ups` is the share of train pictures that
    show one kind of object on a plain ground. `workers` defaults to one a core; they are spawned, so a
    script needs its `__main__` guard. Raises CorpusError when the figures do not fit together.
    """
    if count < 1 or size < 32 or dev < 0 or test < 0 or dev + test > count or not 0 <= close_ups <= 1:
        raise CorpusError(
            f"asked for count={count}, size={size}, dev={dev}, test={test}, close_ups={close_ups}; "
            "count must be at least 1 and hold dev and test, size at least 32, close_ups between 0 and 1"
        )
    recipe = Recipe(Path(out), seed, size, close_ups, dev + test, prefix)
    (recipe.out / "images").mkdir(parents=True, exist_ok=True)
    missing = [index for index in range(count) if not _is_there(recipe, index)]
    if missing:
        with (progress or Silent()).stage("draw scenes", len(missing)) as stage:
            _draw_all(recipe, missing, workers or available_cores(), stage)

    def split(index: int) -> str:
        return "test" if index < test else "dev" if index < test + dev else "train"

    _write_lines(recipe.out / "texts.jsonl", _text_lines(recipe, count, split))
    _write_lines(recipe.out / "images.jsonl", _image_lines(recipe, count, split))
    return CorpusSummary(recipe.out, count, count * 5, len(missing))


def _is_there(recipe: Recipe, index: int) -> bool:
    """Whole (ends as a JPEG must) and of this recipe."""
    try:
        data = recipe.path(index).read_bytes()
    except OSError:
        return False
    return data.endswith(b"\xff\xd9") and recipe.comment(index) in data[:400]


def _draw(recipe: Recipe, indices: list[int]) -> int:
    for index in indices:
        scene, rng = recipe.scene(index)
        path = recipe.path(index)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        paint(scene, rng, recipe.size).save(
            partial, "JPEG", quality=JPEG_QUALITY, comment=recipe.comment(index)
        )
        partial.replace(path)
    return len(indices)


def _draw_all(recipe: Recipe, indices: list[int], workers: int, stage: Stage) -> None:
    chunks = [indices[start : start + CHUNK] for start in range(0, len(indices), CHUNK)]
    drawn = 0
    if workers == 1 or len(chunks) == 1:
        for chunk in chunks:
            drawn += _draw(recipe, chunk)
            stage.reach(drawn)
        return
    with worker_pool(min(workers, len(chunks))) as pool:
        for done in pool.map(_draw, [recipe] * len(chunks), chunks):
            drawn += done
            stage.reach(drawn)


def _image_lines(recipe: Recipe, count: int, split: Split) -> Iterator[dict[str, object]]:
    for index in range(count):
        scene, _ = recipe.scene(index)
        name = recipe.name(index)
        yield {
            "id": name,
            "path": f"images/{name}.jpg",
            "split": split(index),
            "level": scene.level,
            "setting": scene.setting,
            "light": scene.light,
            "objects": len(scene.groups),
            "content": scene.content(),
        }


def _text_lines(recipe: Recipe, count: int, split: Split) -> Iterator[dict[str, object]]:
    for index in range(count):
        name = recipe.name(index)
        for number, text in enumerate(recipe.captions(index)):
            yield {"id": f"{name}_{number}", "image_id": name, "text": text, "split": split(index)}


def _write_lines(path: Path, lines: Iterator[dict[str, object]]) -> None:
    """Written whole beside its place, then moved there."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
