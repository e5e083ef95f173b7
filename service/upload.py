"""Media out of a request: the multipart field `file`, or the raw body; the type only tells which of both."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from indexer.media import MediaError
from service.parameters import shown

FIELD = "file"
_MAX_TEXT_FIELDS = 16
_MAX_TEXT_BYTES = 64 * 1024
_CUT_OFF = "Cut off."
_PLAINLY = {
    _CUT_OFF: "The multipart body is cut off: the boundary that closes it is missing; send all of it.",
    "Invalid multipart data.": (
        "The multipart body is damaged: it does not consist of parts between the boundary that its "
        "Content-Type names."
    ),
    "Missing boundary in multipart.": (
        "The Content-Type is multipart/form-data without a boundary: leave setting it to the program that "
        "writes the body."
    ),
    'The Content-Disposition header field "name" must be provided.': (
        f"A part of the multipart body has no name: send each file as the field {FIELD!r}."
    ),
}
"""What Starlette says of a body, and we, for whoever sent it."""


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
    _is_whole = False

    def on_end(self) -> None:
        """The closing boundary has come."""
        self._is_whole = True

    async def parse(self) -> FormData:
        """Starlette's own takes what is there of a body for all of it."""
        form = await super().parse()
        if not self._is_whole:
            for file in self._files_to_close_on_error:
                file.close()
            raise MultiPartException(_CUT_OFF)
        return form


async def read_upload(request: Request) -> Upload:
    """The one file of a search. Raises UploadMalformed, and BodyTooLarge through the counted stream."""
    more = f"This call takes one file: send several to {request.url.path}/batch."
    uploads = await read_uploads(request, max_files=1, too_many=more)
    return uploads[0]


async def read_uploads(
    request: Request, max_files: int, *, raw: bool = True, too_many: str = ""
) -> list[Upload]:
    """From one to `max_files` files, in the order sent; a raw body is one file, where `raw` allows it.

    `too_many` is the sentence for more files, where "so many at most" does not say all. Raises as
    `read_upload` does.
    """
    kind = request.headers.get("content-type", "").split(";", 1)[0].strip().lower()
    if kind == "multipart/form-data":
        return await _read_form(request, max_files, too_many or f"This call takes at most {max_files} files.")
    if not raw:
        raise UploadMalformed(
            f"This call takes multipart/form-data with each file in a field {FIELD!r}, and not a raw body."
        )
    data = await request.body()
    if not data:
        raise MediaError(
            "empty",
            f"The request has no body: send a recording or a picture as the multipart field {FIELD!r} or as "
            "the raw body.",
        )
    return [Upload("the request body", data)]


async def _read_form(request: Request, max_files: int, too_many: str) -> list[Upload]:
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
        if error.message.startswith("Too many files"):
            raise UploadMalformed(too_many) from error
        said = _PLAINLY.get(error.message, f"The multipart body cannot be taken: {error.message}")
        raise UploadMalformed(said) from error
    except ValueError as error:  # a charset or a header that Python's codecs refuse
        raise UploadMalformed("The multipart body cannot be read: its headers are damaged.") from error
    try:
        others = sorted({shown(name) for name, _ in form.multi_items() if name != FIELD})
        parts = form.getlist(FIELD)
        files = [part for part in parts if isinstance(part, UploadFile)]
        if len(files) != len(parts):
            raise UploadMalformed(f"The field {FIELD!r} came as text: send it as a file, with a file name.")
        if not files:
            names = ", ".join(others) or "no field at all"
            raise UploadMalformed(f"The multipart body has no file in the field {FIELD!r}: it has {names}.")
        if others:
            raise UploadMalformed(
                f"The multipart body has {', '.join(others)} beside {FIELD!r}: no other field is taken, and "
                "options such as k are query parameters."
            )
        return [Upload(file.filename or f"file {n}", await file.read()) for n, file in enumerate(files, 1)]
    finally:
        await form.close()
