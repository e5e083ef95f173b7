"""The service is gone while the page is open: what is shown from then on is drawn from what the page has."""

from __future__ import annotations

import pytest

from tests.browser.conftest import OpenPage
from tests.fixtures.media_bytes import make_png
from tests.fixtures.page_checks import until

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra `dev`)")
expect = sync_api.expect

pytestmark = pytest.mark.browser

DRAWN = """(selector) => {
    const icons = [...document.querySelectorAll(`${selector} use`)];
    return icons.length > 0 && icons.every((one) => one.getBBox().width > 0);
}"""


def test_the_message_has_its_icons_and_everything_else_keeps_them(open_page: OpenPage) -> None:
    with open_page(expected=("net::",)) as page:
        page.locator("#samples a").first.click()
        player = page.locator("#hits .player").first
        player.locator(".play").click()
        expect(player).to_have_attribute("data-state", "playing")
        page.locator("#hits .words").first.click()
        expect(page.locator("#hits .picture")).to_have_count(12)
        page.wait_for_load_state("networkidle")

        page.context.set_offline(True)
        page.locator("#file").set_input_files(
            {"name": "field.png", "mimeType": "image/png", "buffer": make_png(5)}
        )
        expect(page.get_by_role("alert")).to_contain_text("The service cannot be reached")
        until(page, DRAWN, "#alert")
        page.get_by_role("button", name="Dismiss this message").click()
        page.locator("#hits .zoom").first.click()
        until(page, DRAWN, "#viewer")
        page.keyboard.press("Escape")
        page.go_back()  # to what was answered before, and is kept
        expect(player).to_have_attribute("data-state", "paused")
        until(page, DRAWN, "#hits .player")
