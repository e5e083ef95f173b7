"""Sentences of the indexer name files for the operator; what clients are told says not where they lie."""

from __future__ import annotations

import re
from pathlib import Path

_MILVUS = re.compile(r"milvus(\+https)?://[^\s,;)]*\w")


def without_paths(sentence: str, index: Path) -> str:
    """The sentence with what lies in the index directory `index` named from there on, that one INDEX, and a
    Milvus by nothing but its name.
    """
    sentence = _MILVUS.sub("MILVUS", sentence)
    folders = {str(index), str(index.absolute()), str(index.resolve())} - {".", "/"}
    for folder in sorted(folders, key=len, reverse=True):
        # A short name may be a word as well: it is the folder where one is named.
        before = "" if folder.startswith("/") else r"(?:(?<=--index )|(?<=\b(?:in|at|of|on) ))"
        sentence = sentence.replace(f"{folder}/", "")
        sentence = re.sub(rf"{before}{re.escape(folder)}(?![\w-])", "INDEX", sentence)
    return sentence
