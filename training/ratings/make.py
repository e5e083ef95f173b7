"""Rating tasks from an embedded split: the first hits of drawn queries both ways, and right pairs.

As in Ilharco et al. 2019, section 4.4: people see the original text instead of hearing the clip, unless audio
is asked for. view "whole" shows the picture as it is, "model" the square that the image tower is given.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from indexer.durable import replace_text
from indexer.media import MediaSpec, decode_image
from training.datasets.pairs import Clip, Picture
from training.evaluate import Embedded
from training.ratings.tasks import SCHEMA_VERSION, Pair, Query, RatingsError, Tasks, Way, tasks_text
from training.report.nearest import nearest, sample
from training.report.small_media import small_clip, small_picture

HITS = 5
RATERS = 5
PICTURE_PIXELS = 512
QUESTION = "Does the caption describe the picture?"


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What tasks to make. `queries` and `own` are drawn from the seed: so many a direction, so many pairs."""

    queries: int
    own: int
    seed: int = 0
    view: Literal["whole", "model"] = "whole"
    audio: bool = False


def make_tasks(
    embedded: Embedded,
    spec: MediaSpec,
    wanted: Wanted,
    folder: Path,
    *,
    run: str,
    data: str,
    split: str,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Tasks:
    """Write `folder`/tasks.json, last, after its images/ and speech/.

    Raises RatingsError where tasks are there already, and for a caption without text unless it is heard.
    """
    if (folder / "tasks.json").exists():
        raise RatingsError(
            f"{folder / 'tasks.json'} is there already; its ratings belong to it, give another --out"
        )
    pictures = {picture.identity: picture for picture in embedded.pictures}
    chosen: dict[tuple[str, str], tuple[Picture, Clip]] = {}

    def judged(one: Picture | Clip, other: Picture | Clip) -> tuple[str, str]:
        picture, clip = (one, other) if isinstance(one, Picture) else (other, one)
        assert isinstance(picture, Picture)
        assert isinstance(clip, Clip)
        if not clip.text and not wanted.audio:
            raise RatingsError(f"the caption {clip.id!r} has no text to show; give --audio to have it heard")
        chosen[(picture.id, clip.id)] = (picture, clip)
        return picture.id, clip.id

    asked: list[tuple[Way, str, list[tuple[str, str]], tuple[bool, ...]]] = []
    ways: tuple[Way, Way] = ("speech_to_image", "image_to_speech")
    for way, found in zip(ways, nearest(embedded, wanted.queries, HITS, wanted.seed), strict=True):
        for one in found:
            keys = [judged(one.query, hit) for hit in one.hits]
            asked.append((way, one.query.id, keys, one.right))
    spoken = [clip for clip in embedded.clips if clip.identity in pictures]
    own = [
        judged(pictures[spoken[i].identity], spoken[i])
        for i in sample(len(spoken), wanted.own, wanted.seed + 1)
    ]
    shuffled = np.random.default_rng(wanted.seed).permutation(len(chosen))
    keys_in_order = [list(chosen)[place] for place in shuffled]
    ids = {key: f"p{number:06d}" for number, key in enumerate(keys_in_order)}
    media = _Media(folder, spec, wanted.view)
    pairs = []
    for number, key in enumerate(keys_in_order):
        picture, clip = chosen[key]
        sound = media.clip(clip) if wanted.audio else None
        text = clip.text if not wanted.audio else ""
        pairs.append(Pair(ids[key], picture.id, clip.id, text, media.picture(picture), sound))
        on_progress(number + 1, len(keys_in_order))
    tasks = Tasks(
        SCHEMA_VERSION, "", run, data, split, wanted.seed, wanted.view, QUESTION, RATERS, tuple(pairs),
        tuple(Query(way, query, tuple(ids[key] for key in keys), right) for way, query, keys, right in asked),
        tuple(ids[key] for key in own),
    )  # fmt: skip
    text = tasks_text(tasks)
    replace_text(folder / "tasks.json", text)
    return tasks


class _Media:
    """Copies of what is shown, each written once, under numbers that say nothing."""

    def __init__(self, folder: Path, spec: MediaSpec, view: str) -> None:
        self._folder, self._view, self._names = folder, view, dict[tuple[str, str], str]()
        self._spec = dataclasses.replace(spec, image_size=PICTURE_PIXELS)
        (folder / "images").mkdir(parents=True, exist_ok=True)

    def picture(self, picture: Picture) -> str:
        return self._kept("images", picture.id, "webp", lambda: self._shown(picture.media.read()))

    def clip(self, clip: Clip) -> str:
        (self._folder / "speech").mkdir(exist_ok=True)
        return self._kept("speech", clip.id, "mp3", lambda: small_clip(clip.media.read()))

    def _kept(self, kind: str, item: str, extension: str, made: Callable[[], bytes]) -> str:
        if (kind, item) not in self._names:
            name = f"{kind}/{sum(one[0] == kind for one in self._names):06d}.{extension}"
            (self._folder / name).write_bytes(made())
            self._names[(kind, item)] = name
        return self._names[(kind, item)]

    def _shown(self, data: bytes) -> bytes:
        if self._view == "whole":
            return small_picture(data, PICTURE_PIXELS)
        encoded = io.BytesIO()
        Image.fromarray(decode_image(data, self._spec).array).save(encoded, "WEBP", quality=80)
        return encoded.getvalue()
