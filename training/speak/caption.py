"""One written caption, and what its reader counts on the way."""

from __future__ import annotations

from dataclasses import dataclass

from training.datasets.pairs import Media

TRAIN_SPLIT = "train"
DEV_SPLIT = "dev"
TEST_SPLIT = "test"


class CaptionsError(ValueError):
    """The source of captions is not there, is of no kind known, or contradicts itself."""


@dataclass(frozen=True, slots=True)
class Caption:
    """`id` is unique and a safe relative file name; `number` is k of Flickr8k's `#k`.

    `picture` is what it tells of, where the source has it; `picture_type` its extension, such as jpg.
    """

    id: str
    image_id: str
    text: str
    split: str | None = None
    number: int | None = None
    picture: Media | None = None
    picture_type: str = ""
