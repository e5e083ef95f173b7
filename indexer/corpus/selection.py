"""Which lines of a JSONL source are wanted, by what their metadata says."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from indexer.location import Json

_KEPT_VALUES = 100  # of one key: a text is another on every line, and there may be millions
_SHOWN = 5


@dataclass(frozen=True)
class Selection:
    """`wanted`: key -> values, one of which must be there; what is not text is compared as JSON writes it."""

    wanted: Mapping[str, Collection[str]]

    def unmet(self, metadata: Mapping[str, Json]) -> str | None:
        """The first condition that is not met, such as "split=test"; None where all are."""
        for key, values in self.wanted.items():
            if key not in metadata or _text(metadata[key]) not in values:
                return f"{key}={' or '.join(values)}"
        return None

    def why_none(self, records: Iterable[Mapping[str, Json]]) -> str | None:
        """Why none of the records is wanted, as half a sentence; None where one is, or none is there.

        Reads up to the first that is wanted.
        """
        keys: dict[str, None] = {}
        seen: dict[str, Counter[str]] = {key: Counter() for key in self.wanted}
        for metadata in records:
            if self.unmet(metadata) is None:
                return None
            keys.update(dict.fromkeys(metadata))
            for key, values in seen.items():
                if key in metadata and len(values) < _KEPT_VALUES:
                    values[_text(metadata[key])[:40]] += 1
        if not keys:
            return None
        for key, values in seen.items():
            if not values:
                return f"has the key {key!r}: there are {', '.join(keys)}"
        asked = " and ".join(f"{key}={' or '.join(values)}" for key, values in self.wanted.items())
        told = "; ".join(f"{key} is {_told(values)}" for key, values in seen.items())
        return f"has {asked}: {told}"


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _told(values: Counter[str]) -> str:
    shown = [value for value, _ in values.most_common(_SHOWN)]
    return ", ".join(shown) + " and others" * (len(values) > _SHOWN)
