"""Batches for fitting. Which pairs make batch n follows from (seed, n) alone: resuming needs no saved state.

An epoch visits every picture once, each with one of its clips drawn at random; the few that do not fill a
batch wait for another epoch. A clip longer than the model hears is cut at a random place; shorter ones are
padded to the longest, rounded up to 4,000 samples. A stage may ask for clips of like length together: else
those of Flickr8k, 3.1 s on average, are padded to 6.0 s in batches of 128.
Shape legend: B batch, S samples, H W picture size.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.cache import Cache
from training.datasets.pairs import DatasetError
from training.preset import Stage

AHEAD = 2
"""Batches prepared while one is used."""


@dataclass(frozen=True)
class Batch:
    """waveform [B, S] float32, samples_valid [B] int64, pixels uint8 [B, H, W, 3], same [B, B] bool."""

    step: int
    stage: Stage
    waveform_BS: Tensor
    samples_valid_B: Tensor
    pixels_BHWC: Tensor
    same_BB: Tensor


class Sampler:
    """Picture and clip indices of every batch of one stage.

    A picture none of whose clips is there (they did not decode, or their voice is left out) is left out.
    Raises DatasetError where fewer pictures than a batch needs remain, or none has the tag to group by.
    """

    def __init__(self, cache: Cache, stage: Stage, seed: int) -> None:
        self.stage, self.seed = stage, seed
        clips = defaultdict(list)
        for i, identity in enumerate(cache.clip_identities):
            clips[identity].append(i)
        self.clips = {identity: np.asarray(indices) for identity, indices in clips.items()}
        self.identities = cache.picture_identities
        chosen = [
            i
            for i, tags in enumerate(cache.picture_tags)
            if (not stage.levels or tags.get("level") in stage.levels) and self.identities[i] in self.clips
        ]
        if len(chosen) < stage.batch:
            levels = f" of level {' or '.join(stage.levels)}" if stage.levels else ""
            raise DatasetError(
                f"a batch of {stage.batch} needs as many pictures{levels} with a spoken caption, and "
                f"{len(chosen)} of {len(cache.picture_tags)} are; take a smaller batch or more data"
            )
        self.pictures = np.asarray(chosen)
        groups = [cache.picture_tags[i].get(stage.group_by, "") if stage.group_by else "" for i in chosen]
        if stage.group_by and not any(groups):
            raise DatasetError(f"no picture has the {stage.group_by!r} that a stage of the preset groups by")
        self.groups = np.unique(groups, return_inverse=True)[1]
        self.samples = np.diff(cache.offsets)
        self.per_epoch = len(chosen) // stage.batch
        self._planned: tuple[int, NDArray[np.int64], NDArray[np.int64]] | None = None

    def _epoch(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pictures and clips of the epoch's batches, [batches, B] each; the batches in random order."""
        if self._planned is None or self._planned[0] != epoch:
            random = np.random.default_rng((self.seed, epoch))
            order = random.permutation(len(self.pictures))[: self.per_epoch * self.stage.batch]
            clips = np.zeros(len(self.pictures), dtype=np.int64)
            clips[order] = [random.choice(self.clips[self.identities[self.pictures[i]]]) for i in order]
            length = self.samples[clips] if self.stage.by_length else np.zeros_like(clips)
            split = round(len(order) * self.stage.group_share) if self.stage.group_by else 0
            grouped, rest = order[:split], order[split:]
            relabelled = random.permutation(int(self.groups.max()) + 1)[self.groups]
            grouped = grouped[np.lexsort((length[grouped], relabelled[grouped]))]
            rest = rest[np.argsort(length[rest], kind="stable")]
            batches = np.concatenate([grouped, rest]).reshape(self.per_epoch, self.stage.batch)
            batches = random.permutation(batches)
            self._planned = (epoch, self.pictures[batches], clips[batches])
        return self._planned[1:]

    def batch(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Indices of pictures and clips of the stage's batch `number`, pairwise."""
        epoch, place = divmod(number, self.per_epoch)
        pictures, clips = self._epoch(epoch)
        return pictures[place], clips[place]


class Loader:
    """All stages' batches in order, prepared ahead in a thread."""

    def __init__(self, cache: Cache, stages: tuple[Stage, ...], seed: int, max_samples: int) -> None:
        self.cache, self.stages, self.seed, self.max_samples = cache, stages, seed, max_samples
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
        random = np.random.default_rng((self.seed, 11, step))
        waves = []
        for clip in clips:
            wave = self.cache.samples[self.cache.offsets[clip] : self.cache.offsets[clip + 1]]
            spare = len(wave) - self.max_samples
            start = int(random.integers(spare + 1)) if spare > 0 else 0
            waves.append(wave[start : start + self.max_samples])
        longest = min(self.max_samples, -(-max(len(wave) for wave in waves) // 4000) * 4000)
        waveform = np.zeros((len(waves), longest), dtype=np.float32)
        for row, wave in zip(waveform, waves, strict=True):
            row[: len(wave)] = wave
        identities = np.asarray([self.cache.picture_identities[i] for i in pictures])
        return Batch(
            step,
            self.stages[index],
            torch.from_numpy(waveform / 32768),
            torch.tensor([len(wave) for wave in waves]),
            torch.from_numpy(self.cache.pictures[pictures]),
            torch.from_numpy(identities[:, None] == identities[None, :]),
        )

    def batches(self, first: int, last: int) -> Iterator[Batch]:
        """Steps first to last - 1, prepared ahead in a thread; what fails there is raised at its step."""
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
            waiting = deque(pool.submit(self.load, step) for step in range(first, min(first + AHEAD, last)))
            try:
                for step in range(first, last):
                    batch = waiting.popleft().result()
                    if step + AHEAD < last:
                        waiting.append(pool.submit(self.load, step + AHEAD))
                    yield batch
            finally:
                pool.shutdown(cancel_futures=True)
