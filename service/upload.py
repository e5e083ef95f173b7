"""Media out of a request: the multipart field `file`, or the raw body; the type only tells which of both."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

FIELD = "file"
_MAX_TEXT_FIELDS = 16
_MAX_TEXT_BYTES = 64 * 1024


class UploadMalformed(ValueError):
    """The body is not what the call takes: bad multipart, or not exactly the files wanted."""


@dataclass(frozen=True)
class Upload:
    """One file as it came; `name` is only for messages."""

    name: str
    data: bytes


class _InMemory(MultiPartParser):
    """The body was limited before it gets here, so no part goes to a disk that may be read-only or full."""

    spool_max_size = 0  # SpooledTemporaryFile's word for "never roll over"


async def read_upload(request: Request) -> Upload:
    """The one file of a search. Raises UploadMalformed, and BodyTooLarge through the counted stream."""
    uploads = await read_uploads(request, max_files=1)
    return uploads[0]


async def read_uploads(request: Request, max_files: int) -> list[Upload]:
    """From one to `max_files` files, in the order sent; a raw body is one file."""
    kind = request.headers.get("content-type", "").split(";", 1)[0].strip().lower()
    if kind != "multipart/form-data":
        return [Upload("the request body", await request.body())]
    parser = _InMemory(
        request.headers,
        request.stream(),
        max_files=max_files,
        max_fields=_MAX_TEXT_FIELDS,
        max_part_size=_MAX_TEXT_BYTES,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise UploadMalformed(f"The multipart body cannot be taken: {error.message}") from error
    except ValueError as error:  # a charset or a header that Python's codecs refuse
        raise UploadMalformed("The multipart body cannot be read: its headers are damaged.") from error
    try:
        parts = form.getlist(FIELD)
        files = [part for part in parts if isinstance(part, UploadFile)]
        if len(files) != len(parts):
            raise UploadMalformed(f"The field {FIELD!r} came as text: send it as a file, with a file name.")
        if not files:
            names = ", ".join(sorted({repr(name) for name, _ in form.multi_items()})) or "no field at all"
            raise UploadMalformed(f"The multipart body has no file in the field {FIELD!r}: it has {names}.")
        return [Upload(file.filename or f"file {n}", await file.read()) for n, file in enumerate(files, 1)]
    finally:
        await form.close()
