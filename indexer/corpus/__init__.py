"""What is to be indexed: a folder or a JSONL file, as a stream of items that counts what it leaves out.

A new kind of source is one class that follows Corpus and one line in `open_corpus`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from indexer.corpus.folder import FolderCorpus
from indexer.corpus.item import Corpus, CorpusError, CorpusItem, Skips
from indexer.corpus.jsonl import JsonlCorpus
from indexer.media.sniff import Modality

__all__ = ["Corpus", "CorpusError", "CorpusItem", "FolderCorpus", "JsonlCorpus", "Skips", "open_corpus"]


def open_corpus(
    source: Path | str, modality: Modality, only: Mapping[str, Collection[str]] | None = None
) -> Corpus:
    """The corpus at `source`, by what it is: a folder, or a file ending in .jsonl; or CorpusError.

    `only` (metadata key -> values, one of which must be there) picks lines of a .jsonl file.
    """
    path = Path(source)
    if path.is_dir():
        if only:
            raise CorpusError(
                f"{path} is a folder, whose files have no metadata to go by {next(iter(only))!r}: "
                "name a .jsonl file."
            )
        return FolderCorpus(path, modality)
    if path.is_file() and path.suffix == ".jsonl":
        return JsonlCorpus(path, modality, only or {})
    if path.exists():
        raise CorpusError(f"{path} is neither a folder nor a .jsonl file: name one of these.")
    raise CorpusError(f"{path} does not exist: name a folder of media or a .jsonl file.")
