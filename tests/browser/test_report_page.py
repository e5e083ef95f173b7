"""The report in a real Chromium, opened as the file it is: looks, accessibility, sound."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures.page_checks import PATIENCE_MS
from tests.fixtures.tiny_report import Made

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra `dev`)")
axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="axe is not installed (extra `dev`)"
)

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("report"))


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (1200, "dark"), (360, "light")])
def test_the_page_reads_and_plays(browser: Any, made: Made, width: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    troubles: list[str] = []
    page.on("console", lambda said: troubles.append(said.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.goto(made.page.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].every((one) => one.complete && one.naturalWidth > 0)")
    assert axe.Axe().run(page).response["violations"] == []
    page.locator(".play").first.click()
    page.wait_for_function("audio.currentTime > 0.05 || audio.ended")
    assert not page.evaluate("audio.error")
    context.close()
    assert troubles == []
