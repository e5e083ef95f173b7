"""A folder of media: all files below it in the order of names; ids are relative paths without extension."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from indexer.corpus.item import CorpusItem, Skips, Unusable, check_id, find_media
from indexer.media.sniff import Modality


class FolderCorpus:
    """Links are followed, each real folder once. Names beginning with a dot are left out and not counted."""

    def __init__(self, root: Path, modality: Modality) -> None:
        self.root = root.absolute()
        self.source = str(root)
        self.modality: Modality = modality
        self.skips = Skips()

    def count_hint(self) -> int | None:
        return sum(1 for _ in self._files(self.root, set(), Skips()))

    def __iter__(self) -> Iterator[CorpusItem]:
        seen: set[str] = set()
        for path in self._files(self.root, set(), self.skips):
            shown = path.relative_to(self.root).as_posix()
            item_id = path.relative_to(self.root).with_suffix("").as_posix()
            try:
                location, modified_ns = find_media(path, self.modality, shown)
                check_id(item_id, shown)
                if item_id in seen:
                    raise Unusable("duplicate id", shown)
            except Unusable as unusable:
                self.skips.add(unusable.reason, unusable.what)
                continue
            seen.add(item_id)
            yield CorpusItem(item_id, self.modality, location, modified_ns, {})

    def _files(self, folder: Path, entered: set[tuple[int, int]], skips: Skips) -> Iterator[Path]:
        try:
            status = folder.stat()
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            skips.add("unreadable folder", f"{folder.relative_to(self.root)} ({error.strerror})")
            return
        if (status.st_dev, status.st_ino) in entered:  # a link that leads back, or a second way in
            skips.add("folder already read", str(folder.relative_to(self.root)))
            return
        entered.add((status.st_dev, status.st_ino))
        for entry in entries:
            if entry.name.startswith("."):
                continue
            # A link that leads to itself is no folder, and is_dir() would raise.
            if os.path.isdir(entry) if entry.is_symlink() else entry.is_dir():
                yield from self._files(folder / entry.name, entered, skips)
            else:
                yield folder / entry.name
