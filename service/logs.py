"""What the service tells whoever runs it: one event a line on standard error, as text or as JSON.

No event can be two lines or look like another one: what could end a line is escaped, whatever it came from.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from service.account import Account, under_way
from service.settings import Settings

_FIELDS = "saysee_event"
# Whatever ends a line or steers a terminal: the two blocks of control characters, and Unicode's line ends.
_ESCAPED = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}


def event(name: str, **fields: object) -> dict[str, object]:
    """For `extra=` of a logging call: what the line is about, for programs. None is left out."""
    known = {key: value for key, value in fields.items() if value is not None}
    return {_FIELDS: {"event": name, **known}}


def start_logging(settings: Settings) -> None:
    """From here on every logger of the process writes to standard error, in the format asked for."""
    handler = logging.StreamHandler()
    handler.setFormatter(AsJson() if settings.log_format == "json" else AsText())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
    # What it finds wrong with a body is the client's to know, and the answer says it.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    if settings.debug:
        for room in ("service", "indexer"):
            logging.getLogger(room).setLevel(logging.DEBUG)
    else:
        logging.getLogger("uvicorn").setLevel(logging.WARNING)  # its account of its own start and end


class AsText(logging.Formatter):
    """For people: time, level, logger, sentence, and the id of the request it belongs to."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; a traceback follows it, indented, so that none of its lines passes for an event."""
        account = under_way()
        request = f" [{account.id}]" if account is not None else ""
        sentence = record.getMessage().translate(_ESCAPED)
        line = f"{_time(record)} {record.levelname} {record.name}: {sentence}{request}"
        traceback = self.formatException(record.exc_info) if record.exc_info else ""
        return "\n    ".join([line, *(part.translate(_ESCAPED) for part in traceback.splitlines())])


class AsJson(logging.Formatter):
    """For programs: an object a line, in ASCII, so that nothing in it can end the line."""

    def format(self, record: logging.LogRecord) -> str:
        """The object: time, level, logger, message, within a request its ids, and what the event says."""
        account = under_way()
        told: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
            **_request(account),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return json.dumps(told, default=str)


def _request(account: Account | None) -> dict[str, str]:
    """Where a record belongs to."""
    if account is None:
        return {}
    traced = {"trace_id": account.trace_id} if account.trace_id is not None else {}
    return {"request_id": account.id, **traced}


def _time(record: logging.LogRecord) -> str:
    """UTC to the millisecond, as RFC 3339 writes it."""
    at = datetime.fromtimestamp(record.created, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
