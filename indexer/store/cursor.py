"""Opaque page cursors: the last id given, in a form that fits into a URL."""

from __future__ import annotations

import base64
import binascii

from indexer.store.errors import BadCursor


def write_cursor(last_id: str) -> str:
    return base64.urlsafe_b64encode(last_id.encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> str:
    """The id inside; BadCursor for text that `write_cursor` never gave."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError) as error:
        shown = ascii(cursor if len(cursor) <= 80 else cursor[:77] + "...")
        raise BadCursor(f"The cursor {shown} is none of this index: start again without one.") from error
