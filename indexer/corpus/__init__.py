"""What is to be indexed: a folder or a JSONL file, as a stream of items that counts what it leaves out.

A new kind of source is one class that follows Corpus and one line in `open_corpus`.
"""

from __future__ import annotations

from pathlib import Path

from indexer.corpus.folder import FolderCorpus
from indexer.corpus.item import Corpus, CorpusError, CorpusItem, Skips
from indexer.corpus.jsonl import JsonlCorpus
from indexer.media.sniff import Modality

__all__ = ["Corpus", "CorpusError", "CorpusItem", "FolderCorpus", "JsonlCorpus", "Skips", "open_corpus"]


def open_corpus(source: Path | str, modality: Modality) -> Corpus:
    """The corpus at `source`, by what it is: a folder, or a file ending in .jsonl; or CorpusError."""
    path = Path(source)
    if path.is_dir():
        return FolderCorpus(path, modality)
    if path.is_file() and path.suffix == ".jsonl":
        return JsonlCorpus(path, modality)
    if path.exists():
        raise CorpusError(f"{path} is neither a folder nor a .jsonl file: name one of these.")
    raise CorpusError(f"{path} does not exist: name a folder of media or a .jsonl file.")
