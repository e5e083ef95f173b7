"""Pages from elsewhere in a real browser: a name pointed at this machine, a form, a script, a picture."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.fixtures.page_checks import PATIENCE_MS

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra `dev`)")

pytestmark = pytest.mark.browser

# What a page may send anywhere without being asked about it first.
FORM = """<!doctype html><title>elsewhere</title>
<form method="post" enctype="text/plain"><input name="RIFF" value="x"></form>"""


class Elsewhere(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(FORM.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[int]:
    """The port of another server on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join(15)


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


def test_a_name_pointed_here_shows_nothing(page: Any, address: str) -> None:
    port = address.rpartition(":")[2]
    for path in ("/", "/v1/items/images"):
        answer = page.goto(f"http://evil.example:{port}{path}")
        assert (answer.status, answer.json()["type"]) == (421, "/problems/wrong-host")


@pytest.mark.parametrize("name", ["evil.example", "localhost", "127.0.0.1"])
def test_a_page_elsewhere_sends_reads_and_shows_nothing(
    page: Any, address: str, elsewhere: int, name: str
) -> None:
    page.goto(f"http://{name}:{elsewhere}/")
    tried = page.evaluate(
        """async (address) => {
          const settled = (promise) => promise.then(() => "done", () => "refused");
          const picture = new Image();
          const shown = new Promise((done, refused) => { picture.onload = done; picture.onerror = refused; });
          picture.src = `${address}/v1/items/images/scene-00/media`;
          return [await settled(fetch(`${address}/v1/limits`)), await settled(shown)];
        }""",
        address,
    )
    assert tried == ["refused", "refused"]
    with page.expect_navigation() as sent:
        page.evaluate(
            "to => { document.forms[0].action = to; document.forms[0].submit(); }",
            f"{address}/v1/search/images",
        )
    assert (sent.value.status, sent.value.json()["type"]) == (403, "/problems/other-origin")
