"""MediaError: what is wrong with the bytes of a clip or a picture, as one word (kind) and one sentence."""

from typing import Literal

MediaFault = Literal["unsupported", "undecodable", "empty", "silent", "too_short", "too_large", "too_long"]


class MediaError(ValueError):
    """These bytes cannot be used: why, as a word in `kind` and as a sentence for their sender in `str()`."""

    kind: MediaFault

    def __init__(self, kind: MediaFault, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    def __reduce__(self) -> tuple[type["MediaError"], tuple[MediaFault, str]]:
        # The default would rebuild it from the message alone, and a worker process could not send it home.
        return type(self), (self.kind, str(self))
