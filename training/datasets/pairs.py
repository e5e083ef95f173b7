"""What every reader gives: pictures and clips with identities; what belongs together has the same.

For captioned pictures the identity is the picture's id; for spoken digits it is the digit. No torch here.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol


class DatasetError(Exception):
    """A data set that is not there, not complete, or not as its format says."""


class Media(Protocol):
    """Where bytes come from; small and picklable, so that worker processes can read."""

    def read(self) -> bytes: ...


@dataclass(frozen=True)
class File:
    """A whole file."""

    path: Path

    def read(self) -> bytes:
        return self.path.read_bytes()


@dataclass(frozen=True)
class Picture:
    """tags: what a stage may select or group by (level, setting, ...)."""

    id: str
    media: Media
    identity: str
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Clip:
    """text is kept for people to read; no tower ever sees it."""

    id: str
    media: Media
    identity: str
    voice: str = ""
    text: str = ""


@dataclass(frozen=True)
class PairSet:
    """One split. `skipped` counts what was left out, by reason."""

    name: str
    split: str
    pictures: tuple[Picture, ...]
    clips: tuple[Clip, ...]
    skipped: Counter[str] = field(default_factory=Counter)

    def only_clips(self, keep: Callable[[Clip], bool]) -> PairSet:
        """The same set with fewer clips; pictures stay, they are the gallery."""
        return replace(self, clips=tuple(clip for clip in self.clips if keep(clip)))

    def share_of_pictures(self, share: float, seed: int) -> PairSet:
        """That share of the pictures (one at least) with their clips, drawn by hash: a smaller share of the
        same seed is part of a larger one, and a corpus that grows changes little of it."""
        drawn = sorted(self.pictures, key=lambda one: hashlib.sha256(f"{seed} {one.id}".encode()).digest())
        kept = {picture.id for picture in drawn[: max(1, round(share * len(drawn)))]}
        pictures = tuple(picture for picture in self.pictures if picture.id in kept)
        identities = {picture.identity for picture in pictures}
        return replace(self, pictures=pictures).only_clips(lambda clip: clip.identity in identities)

    def voices(self) -> list[str]:
        """Every voice or speaker, sorted; empty where the corpus does not say."""
        return sorted({clip.voice for clip in self.clips if clip.voice})

    def of_voices(self, voices: Collection[str]) -> PairSet:
        """Only clips of these voices. Raises DatasetError for a voice that no clip has."""
        self._check_voices(voices)
        return self.only_clips(lambda clip: clip.voice in voices)

    def without_voices(self, voices: Collection[str]) -> PairSet:
        """All other clips. Raises DatasetError for a voice that no clip has, and where no clip is left."""
        self._check_voices(voices)
        left = self.only_clips(lambda clip: clip.voice not in voices)
        if not left.clips:
            raise DatasetError(f"every clip of {self.name}, split {self.split}, is of the voices left out")
        return left

    def _check_voices(self, voices: Collection[str]) -> None:
        known = self.voices()
        for voice in voices:
            if voice not in known:
                more = f" and {len(known) - 20} more" if len(known) > 20 else ""
                there = ", ".join(known[:20]) + more if known else "none named"
                raise DatasetError(
                    f"no clip of {self.name}, split {self.split}, is of voice {voice!r}; there: {there}"
                )


def intersect(
    name: str, split: str, pictures: list[Picture], clips: list[Clip], skipped: Counter[str]
) -> PairSet:
    """Keep pictures that have a clip and clips that have a picture; count the rest. Empty is an error."""
    spoken, seen = {clip.identity for clip in clips}, {picture.identity for picture in pictures}
    kept_pictures = tuple(picture for picture in pictures if picture.identity in spoken)
    kept_clips = tuple(clip for clip in clips if clip.identity in seen)
    for reason, lost in (
        ("picture without a spoken caption", len(pictures) - len(kept_pictures)),
        ("spoken caption without a picture", len(clips) - len(kept_clips)),
    ):
        if lost:
            skipped[reason] += lost
    if not kept_pictures or not kept_clips:
        raise DatasetError(
            f"{name} has no pairs in split {split!r}: {len(pictures)} pictures and {len(clips)} "
            "spoken captions, none of which belong together; check the folder and the split's name"
        )
    return PairSet(name, split, kept_pictures, kept_clips, skipped)
