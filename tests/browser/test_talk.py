"""Push to talk: the button or the space bar held down, a short press that stays, and who else wants space."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import OpenPage
from tests.fixtures.page_checks import until

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra `dev`)")
expect = sync_api.expect

pytestmark = pytest.mark.browser

HEARD = "() => Number(document.querySelector('#record').style.getPropertyValue('--level')) > 0.2"
HELD_MS = 1200


def button(page: Any, name: str) -> Any:
    return page.get_by_role("button", name=name)


def test_held_down_and_let_go_the_button_searches(open_page: OpenPage) -> None:
    with open_page() as page:
        button(page, "Press and speak").hover()
        page.mouse.down()
        expect(button(page, "Let go to search")).to_be_visible()
        until(page, HEARD)
        page.wait_for_timeout(HELD_MS)
        page.mouse.move(40, 700)  # let go elsewhere: it counts all the same
        page.mouse.up()
        expect(page.locator("#hits .picture").first).to_be_visible()
        expect(page.get_by_text("You said")).to_be_visible()


def test_held_down_the_space_bar_records_wherever_nothing_else_wants_it(open_page: OpenPage) -> None:
    with open_page() as page:
        expect(page.locator("#samples a")).to_have_count(8)
        page.keyboard.down("Space")
        expect(button(page, "Let go to search")).to_be_visible()
        page.wait_for_timeout(HELD_MS)
        page.keyboard.up("Space")
        expect(page.locator("#hits .picture").first).to_be_visible()
        # The heading of the results has the focus now, and it does not want space either.
        page.keyboard.press("Space")
        expect(button(page, "Stop and search")).to_be_visible()
        assert page.evaluate("window.scrollY") == 0
        page.keyboard.press("Escape")
        expect(button(page, "Press and speak")).to_be_visible()


def test_a_short_press_stays_on_until_the_next(open_page: OpenPage) -> None:
    with open_page() as page:
        button(page, "Press and speak").focus()
        page.keyboard.press("Space")
        expect(button(page, "Stop and search")).to_be_visible()
        page.wait_for_timeout(HELD_MS)
        expect(button(page, "Stop and search")).to_be_visible()
        page.keyboard.press("Space")
        expect(page.locator("#hits .picture").first).to_be_visible()


def test_space_stays_with_the_control_that_wants_it(open_page: OpenPage) -> None:
    with open_page() as page:
        words = page.locator(".idea-words")
        before = words.text_content()
        button(page, "Another").focus()
        page.keyboard.press("Space")
        expect(words).not_to_have_text(before)
        page.locator("#samples a").first.focus()
        page.keyboard.press("Space")
        page.locator("#map-open").click()
        page.get_by_role("heading", name="Map", exact=True).click()
        page.keyboard.press("Space")
        page.keyboard.press("Escape")
        assert page.locator("#composer").get_attribute("data-mode") == "idle"


@pytest.mark.parametrize("name", ["Pictures", "Automatic"])  # chosen now, and chosen before
def test_a_kind_that_was_chosen_with_the_mouse_leaves_space_to_talk(open_page: OpenPage, name: str) -> None:
    with open_page() as page:
        expect(page.locator("#samples a")).to_have_count(8)
        page.locator(".want label", has_text=name).click()
        expect(page.get_by_role("radio", name=name)).to_be_focused()
        page.keyboard.down("Space")
        expect(button(page, "Let go to search")).to_be_visible()
        page.wait_for_timeout(HELD_MS)
        page.keyboard.up("Space")
        expect(page.locator("#hits .picture").first).to_be_visible()
        # One that is not checked is chosen by space, as everywhere.
        page.get_by_role("radio", name="Spoken captions").last.evaluate("(radio) => radio.focus()")
        page.keyboard.press("Space")
        expect(page.locator("#hits .player").first).to_be_visible()
        assert page.locator("#composer").get_attribute("data-mode") == "idle"


def test_leaving_the_window_lets_go(open_page: OpenPage) -> None:
    with open_page() as page:
        expect(page.locator("#samples a")).to_have_count(8)
        page.keyboard.down("Space")
        expect(button(page, "Let go to search")).to_be_visible()
        page.wait_for_timeout(HELD_MS)
        page.evaluate("window.dispatchEvent(new Event('blur'))")
        expect(page.locator("#hits .picture").first).to_be_visible()
