"""Results as people take them in: within one screen, large on demand, said in words, heard, shared."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from PIL import Image

from tests.browser.conftest import AWKWARD, OpenPage
from tests.fixtures.live_server import live_server
from tests.fixtures.page_checks import faults, tab_to, until
from tests.fixtures.tiny_bundle import make_tiny_bundle

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra `dev`)")
expect = sync_api.expect

pytestmark = pytest.mark.browser

PICTURES_LIKE_5 = "/?from=images/scene-05&find=images"
CAPTIONS_OF_5 = "/?from=images/scene-05&find=captions"


@pytest.mark.parametrize(("path", "hit"), [(PICTURES_LIKE_5, ".picture"), (CAPTIONS_OF_5, ".player")])
def test_all_hits_are_seen_without_scrolling(open_page: OpenPage, path: str, hit: str) -> None:
    with open_page(path, width=1280, height=800) as page:
        expect(page.locator(f"#hits {hit}")).to_have_count(12)
        page.wait_for_load_state("networkidle")
        bottoms = page.locator(f"#hits {hit}").evaluate_all(
            "(found) => found.map((one) => one.getBoundingClientRect().bottom)"
        )
        assert max(bottoms) <= 800
        assert page.evaluate("window.scrollY") == 0


def test_nothing_moves_while_pictures_come(open_page: OpenPage) -> None:
    shifts = """window.moved = 0;
        new PerformanceObserver((list) => { for (const one of list.getEntries()) window.moved += one.value; })
            .observe({ type: "layout-shift", buffered: true });"""
    with open_page(PICTURES_LIKE_5, script=shifts) as page:
        until(page, "() => [...document.querySelectorAll('#hits img')].every((one) => one.naturalWidth)")
        page.wait_for_load_state("networkidle")
        assert page.evaluate("window.moved") < 0.01


def test_a_picture_is_seen_large_and_arrow_keys_go_on(open_page: OpenPage) -> None:
    with open_page(PICTURES_LIKE_5) as page:
        expect(page.locator("#hits .picture")).to_have_count(12)
        tab_to(page, "#hits .zoom")
        page.keyboard.press("Enter")
        viewer = page.get_by_role("dialog", name="Picture")
        expect(viewer.get_by_text("1 of 12")).to_be_visible()
        first = viewer.get_by_role("img").get_attribute("alt")
        page.keyboard.press("ArrowRight")
        expect(viewer.get_by_text("2 of 12")).to_be_visible()
        assert viewer.get_by_role("img").get_attribute("alt") != first
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        expect(viewer.get_by_text("1 of 12")).to_be_visible()
        expect(viewer.get_by_role("button", name="Picture before")).to_have_attribute("aria-disabled", "true")
        viewer.get_by_role("button", name="Next picture").click()
        page.keyboard.press("Escape")
        expect(viewer).to_be_hidden()
        # Back on what was seen last.
        expect(page.locator("#hits .zoom").nth(1)).to_be_focused()
        page.keyboard.press("Enter")
        viewer.get_by_role("button", name="Hear its captions").click()
        expect(page.locator("#hits .player")).to_have_count(12)
        page.locator("#query .enlarge").click()
        expect(viewer.get_by_role("button", name="Next picture")).to_be_hidden()


def picture_of(page: Any) -> Any:
    return page.get_by_role("dialog", name="Picture").locator("img")


SEEN = "() => document.querySelector('#viewer-picture').naturalWidth > 0"


def test_of_a_picture_that_no_browser_shows_the_thumbnail_is_seen_large(open_page: OpenPage) -> None:
    """TIFF can be indexed; a stored picture is answered as one here."""
    tiff = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(tiff, "TIFF")

    def answer(page: Any) -> None:
        as_tiff = {"content_type": "image/tiff", "body": tiff.getvalue()}
        page.route(re.compile(r"/media(\?|$)"), lambda route: route.fulfill(**as_tiff))

    with open_page(PICTURES_LIKE_5, before=answer) as page:
        expect(page.locator("#hits .picture")).to_have_count(12)
        for opener in ("#hits .zoom", "#query .enlarge"):
            page.locator(opener).first.click()
            expect(picture_of(page)).to_have_attribute("src", re.compile(r"/thumbnail(\?|$)"))
            until(page, SEEN)
            expect(page.locator("#viewer-words")).not_to_contain_text("cannot be shown")
            page.keyboard.press("Escape")


def test_a_picture_that_is_gone_altogether_is_told_in_words(open_page: OpenPage) -> None:
    """The second hit's file is gone and it has no thumbnail."""
    tried: list[str] = []

    def gone(route: Any) -> None:
        tried.append(route.request.url)
        route.fulfill(status=410, json={"type": "/problems/media-gone", "status": 410, "detail": "Gone."})

    with open_page(PICTURES_LIKE_5, expected=("410",)) as page:
        expect(page.locator("#hits .picture")).to_have_count(12)
        identity = page.locator("#hits .picture").nth(1).get_attribute("id").removeprefix("hit-")
    with open_page(
        PICTURES_LIKE_5,
        expected=("410",),
        before=lambda page: page.route(f"**/{quote(identity, safe='')}/*", gone),
    ) as page:
        expect(page.locator("#hits .picture")).to_have_count(12)
        page.locator("#hits .zoom").first.click()
        words = page.locator("#viewer-words")
        expect(words).not_to_be_empty()
        before = words.text_content()
        tried.clear()
        page.keyboard.press("ArrowRight")
        expect(words).to_have_text(
            "This picture cannot be shown: its file is gone, or of a kind that this browser does not know."
        )
        expect(picture_of(page)).to_be_hidden()  # no mark of a broken picture
        page.wait_for_load_state("networkidle")
        assert [urlsplit(url).path.rpartition("/")[2] for url in tried] == ["media", "thumbnail"]
        assert not faults(page)
        page.keyboard.press("ArrowLeft")
        until(page, SEEN)
        expect(words).to_have_text(before)


def test_the_foot_names_only_stages_that_the_query_went_through(open_page: OpenPage) -> None:
    with open_page(PICTURES_LIKE_5) as page:
        foot = page.locator("#foot")
        expect(foot).to_contain_text(re.compile(r"^Answered in \d+ ms"))
        expect(foot).not_to_contain_text("decoding")
        expect(foot).not_to_contain_text("encoding")


def test_closeness_is_said_in_words_and_explained(open_page: OpenPage) -> None:
    with open_page(CAPTIONS_OF_5) as page:
        marks = page.locator("#hits .closeness")
        expect(marks).to_have_count(12)
        words = marks.evaluate_all("(found) => found.map((one) => one.textContent)")
        assert set(words) <= {"very close", "close", "far"}
        assert words == sorted(words, key=["very close", "close", "far"].index)
        expect(marks.first).to_have_attribute("title", re.compile(r"Score -?\d\.\d\d\.$"))
        page.get_by_role("button", name="How close is close?").click()
        note = page.locator("#measure")
        expect(note).to_contain_text("closer than 99 of 100 pairs drawn at random")
        expect(note).to_contain_text("of its pictures as queries")
        page.keyboard.press("Escape")
        expect(note).to_be_hidden()


def test_a_list_is_heard_by_walking_through_it(open_page: OpenPage) -> None:
    with open_page(CAPTIONS_OF_5) as page:
        players = page.locator("#hits .player")
        expect(players).to_have_count(12)
        page.locator("#results-title").click()  # a browser lets no page sound before it was used
        tab_to(page, "#hits .play")
        expect(players.nth(0)).to_have_attribute("data-state", "playing")
        for _ in range(3):  # its slider, its link, the next one's button
            page.keyboard.press("Tab")
        expect(players.nth(1)).to_have_attribute("data-state", "playing")
        assert page.locator("[data-state=playing]").count() == 1
        page.keyboard.press("Shift+Tab")
        expect(players.nth(1)).to_have_attribute("data-state", "paused")

        page.get_by_role("checkbox", name="Tab key plays them").uncheck()
        tab_to(page, "#hits .play")
        page.wait_for_timeout(1200)
        assert page.locator("[data-state=playing]").count() == 0
        page.reload()
        expect(page.get_by_role("checkbox", name="Tab key plays them")).not_to_be_checked()


def test_nothing_sounds_by_mouse_unasked(open_page: OpenPage) -> None:
    with open_page(CAPTIONS_OF_5) as page:
        page.locator("#hits .play").first.hover()
        page.locator("#hits .seek").first.hover()
        page.wait_for_timeout(1200)
        assert page.locator("[data-state=playing]").count() == 0


def test_the_address_of_a_search_by_item_is_copied(open_page: OpenPage, address: str) -> None:
    with open_page(f"/?from=images/{quote(AWKWARD, safe='')}") as page:
        expect(page.locator("#hits .player")).to_have_count(12)
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.get_by_role("button", name="Copy link").click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied.startswith(f"{address}/?from=images/")
        page.goto(copied)
        expect(page.locator("#hits .player")).to_have_count(12)
        expect(page).to_have_url(copied)
        # A picture is called by a caption spoken for it where one has passed by, else by its id.
        named = re.compile(f"{re.escape(AWKWARD)}|^.?picture number 7 with its four by four")
        expect(page.locator("#trail [aria-current]")).to_have_text(named)


def test_an_address_of_what_is_not_there_says_so_kindly(open_page: OpenPage) -> None:
    with open_page("/?from=images/nothing-of-the-kind&find=captions", expected=("404",)) as page:
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("not in the collection any more")
        expect(alert.get_by_role("button", name="Try again")).to_have_count(0)
        page.locator("#samples a").first.click()
        expect(page.locator("#hits .player")).not_to_have_count(0)
        expect(alert).to_be_empty()
        page.go_back()
        expect(alert).to_contain_text("not in the collection any more")


@pytest.mark.parametrize(
    ("status", "name", "title"),
    [
        (413, "body-too-large", "That is too large"),
        (422, "silent-media", "Nothing to search with in there"),
        (429, "too-fast", "A little too fast"),
        (503, "overloaded", "The service is not ready just now"),
    ],
)
def test_what_the_service_refuses_is_told_and_waited_for(
    open_page: OpenPage, status: int, name: str, title: str
) -> None:
    waits = status in (429, 503)
    problem = {"type": f"/problems/{name}", "status": status, "detail": "So it is."}

    def refuse(route: Any) -> None:
        route.fulfill(
            status=status,
            json=problem,
            content_type="application/problem+json",
            headers={"Retry-After": "2"} if waits else {},
        )

    def once(page: Any) -> None:
        page.route("**/neighbours?*", refuse, times=1)

    with open_page(before=once, expected=(str(status),)) as page:
        page.locator("#samples a").first.click()
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text(title)
        expect(alert).to_contain_text("So it is.")
        expect(alert.get_by_role("button", name="Try again")).to_have_count(int(waits))
        if waits:
            expect(alert).to_contain_text(re.compile("by itself in [12] s"))
            expect(page.locator("#hits .player")).not_to_have_count(0)
            expect(alert).to_be_empty()


@pytest.fixture(scope="module")
def pictures_alone(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service whose index has no captions and no map."""
    from indexer.build import build
    from service.app import create_app
    from service.settings import Settings

    folder = tmp_path_factory.mktemp("alone")
    make_tiny_bundle(folder / "bundle")
    images = corpus / "images.jsonl"
    build(folder / "bundle", folder / "index", images=images, threads=1, promote_it=True, map_it=False)
    with live_server(create_app(Settings(index=folder / "index", threads=1))) as port:
        yield f"http://127.0.0.1:{port}"


def test_an_index_without_captions_or_map_serves_what_it_has(browser: Any, pictures_alone: str) -> None:
    with browser.new_context(viewport={"width": 1280, "height": 860}, permissions=["microphone"]) as context:
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(pictures_alone)
        expect(page.locator("#samples a")).to_have_count(8)
        expect(page.locator("#holdings")).to_have_text("14 pictures")
        expect(page.locator("#idea")).to_be_hidden()
        expect(page.locator("#map-open")).to_be_hidden()
        expect(page.get_by_role("radio", name="Spoken captions")).to_be_disabled()
        page.locator("#samples a").first.click()  # its neighbours are pictures, as there is nothing else
        expect(page.locator("#hits .picture")).not_to_have_count(0)
        page.wait_for_load_state("networkidle")
        expect(page.locator("#whereabouts")).to_be_hidden()
        assert not [one for one in asked if "/v1/map" in one], "the index has said that it has none"

        page.goto(f"{pictures_alone}/?from=images/scene-05&find=captions")
        expect(page.get_by_role("alert")).to_contain_text("There are no spoken captions here")
        expect(page.locator("#samples a")).to_have_count(8)


def test_a_caption_says_how_long_it_lasts_though_its_metadata_does_not(open_page: OpenPage) -> None:
    with open_page("/?from=images/scene-03&find=captions") as page:
        times = page.locator("#hits .player .time")
        expect(times).not_to_have_count(0)
        expect(times.first).to_have_text(
            re.compile(r"^0:0[56]$")
        )  # the clips of the corpus last from 4.5 to 6.3 s
