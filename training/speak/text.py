"""A written caption -> what an engine is given to say. The manifest keeps the caption as written."""

from __future__ import annotations

import re

_SPACE_BEFORE_PUNCTUATION = re.compile(r"\s+([.,;:!?])")
# Tokenised possessives and contractions: "dog 's", "do n't", "they 're".
_SPLIT_CONTRACTION = re.compile(r"(?<=\w)\s+(n't|'(?:s|re|ve|ll|d|m|t))(?=\s|[.,;:!?]|$)", re.IGNORECASE)
_NOT_SPOKEN = re.compile(r"[\x00-\x1f\x7f\"`“”#*_|<>\\{}\[\]]|''|(?<!\S)'(?!\S)")
_REPEATED_PUNCTUATION = re.compile(r"([.,;:!?])(?:\s*[.,;:!?])+")


def spoken_text(caption: str) -> str:
    """`caption` with tokenised spacing undone and marks that engines would read out by name removed.

    Empty if nothing speakable is left.
    """
    text = _NOT_SPOKEN.sub(" ", caption.replace("\u2019", "'"))
    text = _SPLIT_CONTRACTION.sub(r"\1", text)
    text = _SPACE_BEFORE_PUNCTUATION.sub(r"\1", text)
    text = _REPEATED_PUNCTUATION.sub(r"\1", text)
    text = " ".join(text.split()).lstrip(".,;:!? ")
    return text if any(character.isalnum() for character in text) else ""
