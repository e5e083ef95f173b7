"""Sentences of the indexer name files for the operator; what clients are told says not where they lie."""

from __future__ import annotations

from pathlib import Path


def without_paths(sentence: str, index: Path) -> str:
    """The sentence with what lies in the index directory `index` named from there on, and that one INDEX."""
    folders = {str(index), str(index.absolute()), str(index.resolve())} - {".", "/"}
    for folder in sorted(folders, key=len, reverse=True):
        sentence = sentence.replace(f"{folder}/", "").replace(folder, "INDEX")
    return sentence
