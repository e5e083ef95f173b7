"""A wrong address opened in a real browser: words and a way back, at any width, without a fault by axe."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

import pytest

from tests.browser.conftest import OpenPage
from tests.fixtures.page_checks import faults, wide

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra `dev`)")
expect = sync_api.expect

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_it_says_what_is_wrong_and_leads_to_the_search(
    open_page: OpenPage, width: int, scheme: Literal["light", "dark"]
) -> None:
    expected = ("404 (Not Found)",)  # Chromium tells of the status in the console
    with open_page("/nothing/here", width=width, scheme=scheme, expected=expected) as page:
        expect(page.get_by_role("heading", name="There is no such address")).to_be_visible()
        assert not wide(page)
        assert not faults(page)
        page.get_by_role("link", name="Go to the search").click()
        expect(page.locator("#main")).to_be_visible()
        assert urlsplit(page.url).path == "/"
