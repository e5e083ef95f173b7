"""The map: a glance beside the results, the whole in a dialog, every item a way on, by mouse and by keys."""

from __future__ import annotations

from typing import Any

import pytest

from indexer.projection import can_project
from tests.browser.conftest import PICTURES, OpenPage
from tests.fixtures.media_bytes import make_png
from tests.fixtures.page_checks import until

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra `dev`)")
expect = sync_api.expect

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not can_project(), reason="scikit-learn is not installed (extra `map`)"),
]

READ_BACK = ("willReadFrequently",)  # Chromium's advice on what INK does
INK = """(selector) => {
    const canvas = document.querySelector(selector);
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let painted = 0;
    for (let at = 3; at < data.length; at += 4) painted += data[at] > 60;
    return painted;
}"""


def place_of(page: Any, collection: str, number: int) -> tuple[str, float, float]:
    """An item's id, and where on the screen it lies while the whole map is shown."""
    found: list[Any] = page.evaluate(
        """async ([collection, number]) => {
            const { lens, WHOLE } = await import("/page/map.js");
            const { places } = await (await fetch("/v1/map")).json();
            const { ids, x, y } = places[collection];
            const box = document.querySelector("#map-canvas").getBoundingClientRect();
            const to = lens(WHOLE, box.width, box.height);
            return [ids[number], box.left + to.left(x[number]), box.top + to.top(y[number])];
        }""",
        [collection, number],
    )
    return found[0], found[1], found[2]


def test_an_item_on_the_map_is_shown_and_searched_by(open_page: OpenPage) -> None:
    with open_page(expected=READ_BACK) as page:
        page.get_by_role("button", name="Map", exact=True).click()
        dialog = page.get_by_role("dialog", name="Map")
        expect(dialog).to_contain_text("Every item of this index")
        until(page, INK, "#map-canvas")
        named = dialog.locator("#map-canvas").get_attribute("aria-label")
        assert named.startswith(f"Map of {PICTURES} pictures and {2 * PICTURES - 2} spoken captions.")
        item, x, y = place_of(page, "images", 3)
        page.mouse.move(x, y)
        card = page.locator("#map-card")
        expect(card).to_be_visible()
        until(page, "() => document.querySelector('#map-card img')?.naturalWidth > 0")
        page.mouse.click(x, y)
        expect(dialog).to_be_hidden()
        expect(page.locator("#hits .player")).not_to_have_count(0)
        assert f"from=images/{item}&" in page.url


def test_a_query_lands_among_its_hits(open_page: OpenPage) -> None:
    with open_page(expected=READ_BACK) as page:
        page.locator("#file").set_input_files(
            {"name": "field.png", "mimeType": "image/png", "buffer": make_png(5)}
        )
        expect(page.locator("#whereabouts")).to_be_visible()
        until(page, INK, "#glance-canvas")
        page.get_by_role("button", name="Where this lies on the map").click()
        dialog = page.get_by_role("dialog", name="Map")
        expect(dialog).to_contain_text("placed at the mean of its hits, the closest counting most")
        stands = page.evaluate(
            """async () => {
                const { loadMap, pointOf, standOf } = await import("/page/map.js");
                const { generation } = await (await fetch("/v1/index")).json();
                const map = await loadMap(generation);
                const ids = map.points.filter((one) => one.collection === "images").map((one) => one.id);
                const hits = (scores) => scores.map((score, at) => ({ id: ids[at], score }));
                const answer = (scores) => ({ target: "images", hits: hits(scores) });
                const first = pointOf(map, "images", ids[0]);
                const near = (stand) => Math.hypot(stand.x - first.x, stand.y - first.y);
                const step = { kind: "mine" };
                return [
                    near(standOf(map, step, answer([0.9]))),
                    near(standOf(map, step, answer([0.9, 0.3, 0.3]))),
                    near(standOf(map, step, answer([0.9, 0.9, 0.9]))),
                    standOf(map, { kind: "item", collection: "images", id: ids[4] }, answer([0.9])).exact,
                    standOf(map, step, { target: "images", hits: [{ id: "elsewhere" }] }) === undefined,
                ];
            }"""
        )
        alone, clear, even, exact, nowhere = stands
        assert alone == 0
        assert 0 < clear < even
        assert exact
        assert nowhere


def test_by_keys_alone(open_page: OpenPage) -> None:
    with open_page() as page:
        page.get_by_role("button", name="Map", exact=True).focus()
        page.keyboard.press("Enter")
        canvas = page.locator("#map-canvas")
        expect(canvas).to_be_visible()
        canvas.focus()
        page.keyboard.press("ArrowRight")
        card = page.locator("#map-card")
        expect(card).to_be_visible()
        said = card.text_content()
        for key in ("ArrowLeft", "ArrowDown", "ArrowUp", "ArrowRight"):
            page.keyboard.press(key)
            if card.text_content() != said:
                break
        expect(card).not_to_have_text(said)
        page.keyboard.press("+")
        page.keyboard.press("-")
        page.keyboard.press("Enter")
        expect(page.locator("#results")).to_be_visible()
        expect(page.get_by_role("dialog", name="Map")).to_be_hidden()
        page.get_by_role("button", name="Map", exact=True).press("Enter")
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Map", exact=True)).to_be_focused()


def test_it_is_moved_and_magnified(open_page: OpenPage) -> None:
    with open_page(expected=READ_BACK) as page:
        page.get_by_role("button", name="Map", exact=True).click()
        until(page, INK, "#map-canvas")
        item, x, y = place_of(page, "images", 5)
        page.mouse.move(x, y)
        page.mouse.wheel(0, -900)  # what is under the pointer stays there
        expect(page.locator("#map-card")).to_be_visible()
        page.mouse.down()
        page.mouse.move(x + 60, y + 30, steps=4)
        page.mouse.up()
        expect(page.get_by_role("dialog", name="Map")).to_be_visible()  # dragged, not clicked
        page.mouse.move(x + 61, y + 31)
        page.mouse.click(x + 61, y + 31)
        expect(page.locator("#results")).to_be_visible()
        assert f"from=images/{item}&" in page.url


def test_what_is_switched_off_is_not_there(open_page: OpenPage) -> None:
    with open_page(expected=READ_BACK) as page:
        page.get_by_role("button", name="Map", exact=True).click()
        until(page, INK, "#map-canvas")
        page.get_by_role("checkbox", name="Pictures").uncheck()
        page.get_by_role("checkbox", name="Spoken captions").uncheck()
        until(page, f"(selector) => ({INK})(selector) === 0", "#map-canvas")
        _, x, y = place_of(page, "images", 2)
        page.mouse.move(x, y)
        expect(page.locator("#map-card")).to_be_hidden()


def test_three_thousand_points_are_drawn_within_a_frame(open_page: OpenPage) -> None:
    """The cost of drawing alone, not how busy the machine is: the best of several, and far from the limit."""
    with open_page() as page:
        best = page.evaluate(
            """async () => {
                const { drawMap, WHOLE } = await import("/page/map.js");
                const canvas = document.createElement("canvas");
                canvas.style.cssText = "width: 1200px; height: 700px";
                document.body.append(canvas);
                const points = Array.from({ length: 3000 }, (_, at) => ({
                    collection: at < 2500 ? "captions" : "images", id: String(at),
                    x: Math.sin(at * 12.9898), y: Math.cos(at * 78.233) }));
                const times = Array.from({ length: 20 }, () => {
                    const began = performance.now();
                    drawMap(canvas, { points }, WHOLE);
                    return performance.now() - began;
                });
                canvas.remove();
                return Math.min(...times);
            }"""
        )
        assert best < 16
