"""A problem for a person: who opens an address in a browser sees words on a page, not JSON."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse

_PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>{title} · SaySee</title>
  <meta name="color-scheme" content="light dark">
  <link rel="icon" href="/page/favicon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="/page/base.css">
  <link rel="stylesheet" href="/page/problem.css">
</head>
<body>
  <header class="masthead">
    <a class="brand" href="/"><svg class="icon" aria-hidden="true"><use
      href="/page/icons.svg#mark"/></svg>SaySee</a>
  </header>
  <main>
    <h1>{title}</h1>
    <p class="lede">{sentence}</p>
    <p><a class="button" href="/">Go to the search</a></p>
    <p class="fine">{fine}</p>
  </main>
</body>
</html>
"""


def is_opened(request: Request) -> bool:
    """Whether a browser opens the address itself, in a tab; programs and our own page do not."""
    return request.method == "GET" and request.headers.get("sec-fetch-dest") == "document"


def problem_page(
    title: str, sentence: str, fine: str, status: int, headers: Mapping[str, str] | None = None
) -> HTMLResponse:
    """The page that says so much, `fine` in small letters; no cache keeps it."""
    words = _PAGE.format(title=escape(title), sentence=escape(sentence), fine=escape(fine))
    return HTMLResponse(words, status, headers={**(headers or {}), "Cache-Control": "no-store"})
