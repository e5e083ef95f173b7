"""A browser test's world: the real service on a tiny index, and a Chromium whose microphone hears a file.

No page it gives passes over an error in the console, a broken content policy or a call to another host.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.fixtures.media_bytes import make_png, make_wav
from tests.fixtures.page_checks import PATIENCE_MS
from tests.fixtures.tiny_bundle import make_tiny_bundle

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra `dev`)")

sync_api.expect.set_options(timeout=PATIENCE_MS)

PICTURES = 14
AWKWARD = "beach/scene 7?#50% ü"  # what an operator's ids may hold, and an address has to survive

OpenPage = Callable[..., AbstractContextManager[Any]]


def caption_of(number: int) -> str:
    return f"picture number {number} with its four by four fields"


def clip(number: int, *, other: bool = False) -> bytes:
    """The spoken caption of picture `number`, as far as beeps go; `other` is the second voice's.

    Long enough to be still playing when a busy machine comes to look.
    """
    if other:
        return make_wav(4.5, 150.0 * 1.21**number, seed=50 + number)
    return make_wav(5.0 + 0.1 * number, 180.0 * 1.18**number, seed=number)


def picture_id(number: int) -> str:
    return AWKWARD if number == 7 else f"scene-{number:02d}"


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures with two captions each but for the last, which has none."""
    folder = tmp_path_factory.mktemp("pairs")
    images, captions = [], []
    for number in range(PICTURES):
        (folder / f"{number}.png").write_bytes(make_png(number))
        images.append({"id": picture_id(number), "path": f"{number}.png", "setting": "test"})
        if number == PICTURES - 1:
            continue
        for voice, data in (("Ada", clip(number)), ("Bob", clip(number, other=True))):
            name = f"{number}-{voice}"
            (folder / f"{name}.wav").write_bytes(data)
            captions.append(
                {
                    "id": name,
                    "path": f"{name}.wav",
                    "image_id": picture_id(number),
                    "text": caption_of(number),
                    "voice": voice,
                }
            )
    for file, lines in (("images.jsonl", images), ("captions.jsonl", captions)):
        (folder / file).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture(scope="session")
def served_index(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of the corpus."""
    from indexer.build import build

    folder = tmp_path_factory.mktemp("served")
    make_tiny_bundle(folder / "bundle")
    build(
        folder / "bundle",
        folder / "index",
        images=corpus / "images.jsonl",
        captions=corpus / "captions.jsonl",
        threads=1,
        promote_it=True,
    )
    return folder / "index"


@pytest.fixture(scope="session")
def address(served_index: Path) -> Iterator[str]:
    """Where the service answers, with an index of the corpus."""
    import uvicorn

    from service.app import create_app
    from service.settings import Settings

    app = create_app(Settings(index=served_index, threads=1))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, name="service")
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started and thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.started, "the service did not start within 30 s"
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(15)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium; its microphone hears the first caption of picture 3, over and over."""
    heard = tmp_path_factory.mktemp("microphone") / "heard.wav"
    heard.write_bytes(clip(3))
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(found for found in map(shutil.which, names) if found)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=[
                "--no-sandbox",
                "--disable-background-networking",
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
                f"--use-file-for-fake-audio-capture={heard}",
                "--host-resolver-rules=MAP *.example 127.0.0.1",  # whoever owns a name can point it here
            ],
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Any, address: str) -> OpenPage:
    """open_page(path="/", ...) gives a page, checked when it is closed.

    `expected`: parts of console errors that the test provokes. `script`: JavaScript to run before the page's
    own. `before`: called with the page before it goes anywhere, to put routes in place.
    """

    @contextmanager
    def opened(
        path: str = "/",
        *,
        width: int = 1280,
        height: int = 860,
        scheme: Literal["light", "dark"] = "light",
        expected: tuple[str, ...] = (),
        script: str | None = None,
        before: Callable[[Any], None] | None = None,
    ) -> Iterator[Any]:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, permissions=["microphone"]
        )
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        troubles: list[str] = []

        def listen(said: Any) -> None:
            if said.type in ("error", "warning"):
                troubles.append(said.text)

        def watch(request: Any) -> None:
            if not request.url.startswith((f"{address}/", "blob:", "data:")):
                troubles.append(f"asked {request.url}")

        page.on("console", listen)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", watch)
        if script:
            page.add_init_script(script)
        if before:
            before(page)
        page.goto(f"{address}{path}")
        try:
            yield page
        finally:
            context.close()
        unexpected = [one for one in troubles if not any(part in one for part in expected)]
        assert not unexpected

    return opened
