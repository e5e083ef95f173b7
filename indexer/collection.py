"""The names of the two collections of an index; light, so that clients of the service can read them, too."""

from __future__ import annotations

from typing import Literal, get_args

CollectionName = Literal["images", "captions"]
COLLECTIONS: tuple[CollectionName, ...] = get_args(CollectionName)
