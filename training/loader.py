"""Batches for fitting. Which pairs make batch n follows from (seed, n) alone: resuming needs no saved state.

An epoch visits every picture once, each with one of its clips drawn at random; the few that do not fill a
batch wait for another epoch. A clip longer than the model hears is cut at a random place; shorter ones are
padded to the longest of the whole batch, rounded up to 4,000 samples. A stage may ask for clips of like
length together: else those of Flickr8k, 3.1 s on average, are padded to 6.0 s in batches of 128.
Shape legend: B batch, R rows of this process, S samples, H W picture size.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.cache import Cache
from training.datasets.pairs import DatasetError
from training.distributed import ALONE, Ranks
from training.preset import Stage

THREADS = 2
AHEAD = 3
"""Batches prepared while one is used."""


@dataclass(frozen=True)
class Batch:
    """waveform [R, S] int16, samples_valid [R] int64, pixels uint8 [R, H, W, 3], identity [B] int64.

    aspect [R] float32 is each picture's width by its height, before it was made square; identity is the
    number of the pair's identity among all that are fitted on, sorted.

    `rows` says where in the batch these R stand. Samples and pixels become floats where they are used: they
    are four times smaller on the way there.
    """

    step: int
    stage: Stage
    rows: slice
    waveform_RS: Tensor
    samples_valid_R: Tensor
    pixels_RHWC: Tensor
    aspect_R: Tensor
    identity_B: Tensor

    def __len__(self) -> int:
        """B."""
        return len(self.identity_B)

    @property
    def same(self) -> Tensor:
        """[B, B] bool: which clips and pictures belong together."""
        return self.identity_B[:, None] == self.identity_B[None, :]

    def chunks(self) -> list[slice]:
        """The stage's chunks of these R, in order."""
        rows = len(self.samples_valid_R)
        size = self.stage.chunk or rows
        return [slice(start, start + size) for start in range(0, rows, size)]


def refuse_small(
    stages: Sequence[Stage], pictures: Iterable[tuple[str, dict[str, str]]], spoken: Collection[str]
) -> None:
    """Raises DatasetError where a stage's batch asks for more pictures than have a spoken caption.

    `pictures` are identities and tags, `spoken` the identities of the clips.
    """
    heard = [tags for identity, tags in pictures if identity in spoken]
    for number, stage in enumerate(stages):
        there = sum(map(stage.takes, heard))
        if there < stage.batch:
            fits = there // stage.chunk * stage.chunk if stage.chunk else 1 << there.bit_length() >> 1
            remedy = f"give --set stages.{number}.batch={fits}, or more pictures" if fits > 1 else "give more"
            levels = f" of level {' or '.join(stage.levels)}" if stage.levels else ""
            raise DatasetError(
                f"a batch of {stage.batch} needs {stage.batch} pictures{levels} with a spoken caption for "
                f"training, and there are {there}; {remedy}"
            )


class Sampler:
    """Picture and clip indices of every batch of one stage.

    A picture none of whose clips is there (they did not decode, or their voice is left out) is left out.
    Raises DatasetError where no picture has the tag to group by.
    """

    def __init__(self, cache: Cache, stage: Stage, seed: int) -> None:
        self.stage, self.seed = stage, seed
        spoken = defaultdict(list)
        for i, identity in enumerate(cache.clip_identities):
            spoken[identity].append(i)
        pictures = zip(cache.picture_identities, cache.picture_tags, strict=True)
        chosen = [
            i for i, (identity, tags) in enumerate(pictures) if identity in spoken and stage.takes(tags)
        ]
        self.pictures = np.asarray(chosen)
        # Picture i of these is heard as one of clips[clip_starts[i]:][:clip_counts[i]].
        self.clips = np.concatenate(list(spoken.values()))
        counts = np.asarray([len(clips) for clips in spoken.values()])
        number = {identity: i for i, identity in enumerate(spoken)}
        said = np.asarray([number[cache.picture_identities[i]] for i in chosen])
        self.clip_counts, self.clip_starts = counts[said], (np.cumsum(counts) - counts)[said]
        groups = [cache.picture_tags[i].get(stage.group_by, "") if stage.group_by else "" for i in chosen]
        if stage.group_by and not any(groups):
            raise DatasetError(f"no picture has the {stage.group_by!r} that a stage of the preset groups by")
        self.groups = np.unique(groups, return_inverse=True)[1]
        self.samples = np.diff(cache.offsets)
        self.per_epoch = len(chosen) // stage.batch
        self._epoch = lru_cache(maxsize=2)(self._plan)  # two: threads meet where one ends and one begins
        self._planning = Lock()

    def _plan(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pictures and clips of the epoch's batches, [batches, B] each; the batches in random order."""
        random = np.random.default_rng((self.seed, epoch))
        order = random.permutation(len(self.pictures))[: self.per_epoch * self.stage.batch]
        clips = np.zeros(len(self.pictures), dtype=np.int64)
        places = random.integers(self.clip_counts[order])
        clips[order] = self.clips[self.clip_starts[order] + places]
        length = self.samples[clips] if self.stage.by_length else np.zeros_like(clips)
        split = round(len(order) * self.stage.group_share) if self.stage.group_by else 0
        grouped, rest = order[:split], order[split:]
        relabelled = random.permutation(int(self.groups.max()) + 1)[self.groups]
        grouped = grouped[np.lexsort((length[grouped], relabelled[grouped]))]
        rest = rest[np.argsort(length[rest], kind="stable")]
        batches = np.concatenate([grouped, rest]).reshape(self.per_epoch, self.stage.batch)
        batches = random.permutation(batches)
        return self.pictures[batches], clips[batches]

    def batch(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Indices of pictures and clips of the stage's batch `number`, pairwise."""
        epoch, place = divmod(number, self.per_epoch)
        with self._planning:
            pictures, clips = self._epoch(epoch)
        return pictures[place], clips[place]


class Loader:
    """All stages' batches in order, this process's rows of each, prepared ahead in threads.

    Raises UnevenShare where a stage's batch cannot be shared among the ranks and their chunks, DatasetError
    where there are too few pictures for one. `pinned` puts batches into memory from which a GPU copies while
    it computes.
    """

    def __init__(
        self,
        cache: Cache,
        stages: tuple[Stage, ...],
        seed: int,
        max_samples: int,
        *,
        ranks: Ranks = ALONE,
        pinned: bool = False,
    ) -> None:
        self.cache, self.stages, self.seed, self.max_samples = cache, stages, seed, max_samples
        self.pinned = pinned
        self.rows = [ranks.share(stage.batch, stage.chunk) for stage in stages]
        identities = zip(cache.picture_identities, cache.picture_tags, strict=True)
        refuse_small(stages, identities, set(cache.clip_identities))
        self.identities = np.unique(cache.picture_identities, return_inverse=True)[1]
        self.samplers = [Sampler(cache, stage, seed + 1000 * i) for i, stage in enumerate(stages)]

    def stage_at(self, step: int) -> tuple[int, int]:
        """Which stage a step belongs to, and its number within it."""
        for i, stage in enumerate(self.stages):
            if step < stage.steps:
                return i, step
            step -= stage.steps
        raise IndexError("step past the last stage")

    def load(self, step: int) -> Batch:
        """The batch of a step; the same at every call."""
        index, number = self.stage_at(step)
        pictures, clips = self.samplers[index].batch(number)
        rows = self.rows[index]
        random = np.random.default_rng((self.seed, 11, step))
        begins, ends = self.cache.offsets[clips], self.cache.offsets[clips + 1]
        for row in np.flatnonzero(ends - begins > self.max_samples):
            begins[row] += random.integers(ends[row] - begins[row] - self.max_samples + 1)
        ends = np.minimum(ends, begins + self.max_samples)
        longest = min(self.max_samples, -(-int((ends - begins).max()) // 4000) * 4000)
        waveform = np.zeros((rows.stop - rows.start, longest), dtype=np.int16)
        for wave, begin, end in zip(waveform, begins[rows], ends[rows], strict=True):
            wave[: end - begin] = self.cache.samples[begin:end]
        tensors = (
            torch.from_numpy(waveform),
            torch.from_numpy((ends - begins)[rows]),
            torch.from_numpy(self.cache.pictures[pictures[rows]]),
            torch.from_numpy(self.cache.aspects[pictures[rows]]),
            torch.from_numpy(self.identities[pictures]),
        )
        return Batch(step, self.stages[index], rows, *(t.pin_memory() if self.pinned else t for t in tensors))

    def batches(self, first: int, last: int) -> Iterator[Batch]:
        """Steps first to last - 1, prepared ahead; what fails in a thread is raised at its step."""
        with ThreadPoolExecutor(THREADS, thread_name_prefix="batches") as pool:
            waiting = deque(pool.submit(self.load, step) for step in range(first, min(first + AHEAD, last)))
            try:
                for step in range(first, last):
                    batch = waiting.popleft().result()
                    if step + AHEAD < last:
                        waiting.append(pool.submit(self.load, step + AHEAD))
                    yield batch
            finally:
                pool.shutdown(cancel_futures=True)
