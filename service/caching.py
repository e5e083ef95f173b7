"""What browsers may keep of an answer: for good where its address names its generation, else with an ETag."""

from __future__ import annotations

from starlette.requests import Request


def caching(digest: str, *, immutable: bool, public: bool) -> dict[str, str]:
    """Headers for what has that digest. An address that names its generation never changes; any other is
    asked again, which the ETag makes cheap.
    """
    whose = "public" if public else "private"  # what takes a key is in no cache that others share
    policy = f"{whose}, max-age=31536000, immutable" if immutable else "no-cache"
    return {"ETag": f'"{digest}"', "Cache-Control": policy}


def unchanged(request: Request, etag: str) -> bool:
    """Whether the client has what is there already."""
    known = request.headers.get("if-none-match", "")
    return known.strip() == "*" or etag in [tag.strip().removeprefix("W/") for tag in known.split(",")]
