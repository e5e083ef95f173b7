"""A service that takes a key: the page asks for it once, and then all works, pictures and sounds too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.live_server import live_server
from tests.fixtures.page_checks import PATIENCE_MS, faults, wide

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra `dev`)")
expect = sync_api.expect

pytestmark = pytest.mark.browser

KEY = "saysee_a-key-for-these-tests"


@pytest.fixture(scope="module")
def guarded(served_index: Path) -> Iterator[str]:
    from service.app import create_app
    from service.settings import Settings

    line = f"read tests {sha256(KEY.encode()).hexdigest()}"
    with live_server(create_app(Settings(index=served_index, threads=1, keys=line))) as port:  # type: ignore[arg-type]
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


def give(page: Any, key: str) -> None:
    page.get_by_label("Key for this service").fill(key)
    page.get_by_role("button", name="Use this key").click()


def test_the_page_asks_for_a_key_and_keeps_it_for_the_session(page: Any, guarded: str) -> None:
    page.goto(guarded)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("asks for a key")
    expect(page.locator("#start")).to_be_hidden()
    give(page, "not this one")
    expect(alert).to_contain_text("not known here")
    give(page, KEY)
    expect(page.locator("#samples a")).to_have_count(8)
    expect(alert).to_be_empty()
    # The browser fetches these itself.
    expect(page.locator("#samples img").first).not_to_have_js_property("naturalWidth", 0)
    page.locator("#samples a").first.click()
    expect(page.locator("#hits .player").first).to_be_visible()
    page.locator("#hits .play").first.click()
    expect(
        page.locator("#hits .player").first.get_by_role("button", name=re.compile("^Pause"))
    ).to_be_visible()

    address = page.url
    again = page.context.new_page()
    again.goto(address)
    expect(again.locator("#hits .player").first).to_be_visible()
    for cookie in page.context.cookies([f"{guarded}/v1/limits"]):
        assert (cookie["sameSite"], cookie["path"], cookie["expires"]) == ("Strict", "/v1", -1)
    assert page.context.cookies([f"{guarded}/"]) == []


def test_a_shared_address_shows_its_search_once_the_key_is_given(page: Any, guarded: str) -> None:
    page.goto(f"{guarded}/?from=images/scene-02&find=captions")
    expect(page.get_by_label("Key for this service")).to_be_visible()
    page.wait_for_load_state("networkidle")  # the start and the search both ask, and both are refused
    give(page, KEY)
    expect(page.locator("#hits .player").first).to_be_visible()
    page.get_by_role("link", name="SaySee").click()
    expect(page.locator("#samples a")).to_have_count(8)


@pytest.mark.parametrize("width", [320, 1280])
def test_the_field_fits_and_axe_finds_no_fault(page: Any, guarded: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 740})
    page.emulate_media(reduced_motion="reduce")
    page.goto(guarded)
    expect(page.get_by_label("Key for this service")).to_be_visible()
    expect(page.get_by_text("Key for this service", exact=True)).to_be_visible()
    assert not wide(page)
    assert not faults(page)
