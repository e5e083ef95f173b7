"""The usable captions of a source, whichever kind it is; the unusable are counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from training.speak.caption import Caption, CaptionsError
from training.speak.sources import is_flickr8k, records

SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]*(/[A-Za-z0-9][A-Za-z0-9._@+-]*)*")
"""Ids that may be file names: relative, without hidden or parent folders."""


@dataclass(frozen=True)
class Captions:
    """A source of captions: iterating reads it again from the start, so millions need no room.

    `skipped` counts what the last complete reading passed over, by reason.
    """

    source: Path
    split: str | None = None
    limit: int | None = None
    skipped: Counter[str] = field(default_factory=Counter)

    @property
    def flickr8k(self) -> bool:
        return is_flickr8k(self.source)

    def __iter__(self) -> Iterator[Caption]:
        """Captions in the source's order. CaptionsError where an image has captions in two splits."""
        self.skipped.clear()
        seen: set[str] = set()
        splits: dict[str, str] = {}
        for caption in records(self.source, self.skipped):
            if caption.split is not None:
                first = splits.setdefault(caption.image_id, caption.split)
                if first != caption.split:
                    raise CaptionsError(
                        f'The image "{caption.image_id}" of {self.source} has captions in the splits {first} '
                        f"and {caption.split}; a split is of images, so give all its captions one."
                    )
            if self.split is not None and caption.split != self.split:
                continue
            if not SAFE_ID.fullmatch(caption.id):
                self.skipped["id not usable as a file name"] += 1
            elif caption.id in seen:
                self.skipped["duplicate id"] += 1
            else:
                seen.add(caption.id)
                yield caption
                if self.limit is not None and len(seen) >= self.limit:
                    return


def read_captions(source: Path, *, split: str | None = None, limit: int | None = None) -> Captions:
    """Captions of `source`, those of `split` alone if given, the first `limit` if given.

    `source` is a JSONL file (id, image_id, text, split?), a folder with texts.jsonl, a TSV (`caption<TAB>url`
    or `image.jpg#k<TAB>caption`), Kaggle's captions.txt (`image,caption`), a Flickr8k folder, COCO's captions
    or Karpathy's splits (.json), WebDataset shards (.tar, or a folder of them), or a folder with classes.tsv.
    CaptionsError if it is none of these or no caption is left.
    """
    captions = Captions(source, split, limit)
    if next(iter(captions), None) is None:
        wanted = f' of split "{split}"' if split else ""
        raise CaptionsError(f"No caption{wanted} to speak in {source}; {_told(captions.skipped)}.")
    return captions


def _told(skipped: Counter[str]) -> str:
    if not skipped:
        return "nothing was skipped either"
    return "skipped: " + ", ".join(f"{count} {reason}" for reason, count in skipped.most_common())
