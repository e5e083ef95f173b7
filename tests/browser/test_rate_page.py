"""The rating page in a real Chromium: by keyboard, on a phone, in dark and light; going on after a reload."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from service.keys import Key, Keys
from service.rate.app import create_app
from service.rate.desk import Desk
from service.rate.ledger import Ledger
from service.rate.tasks import read_tasks
from tests.fixtures.live_server import live_server
from tests.fixtures.page_checks import PATIENCE_MS
from tests.fixtures.rating_tasks import make_tasks_folder

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra `dev`)")
axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="axe is not installed (extra `dev`)"
)
expect = sync_api.expect

pytestmark = pytest.mark.browser

KEY = "saysee_a key; for these tests"


class Place:
    """The page's address and the file that ratings go into."""

    def __init__(self, address: str, ratings: Path) -> None:
        self.address, self.ratings = address, ratings

    def verdicts(self) -> list[tuple[str, str]]:
        lines = [json.loads(line) for line in self.ratings.read_text().splitlines()]
        return [(line["rater"], line["verdict"]) for line in lines]


@contextmanager
def rating_place(folder: Path, keys: Keys, *, audio: bool = False) -> Iterator[Place]:
    path = make_tasks_folder(folder / "tasks", pairs=4, raters=2, audio=audio)
    tasks, ratings = read_tasks(path), folder / "ratings.jsonl"
    with (
        closing(Ledger(ratings, tasks.id)) as ledger,
        live_server(create_app(Desk(tasks, ledger), path.parent, keys, ())) as port,
    ):
        yield Place(f"http://127.0.0.1:{port}", ratings)


@pytest.fixture(params=[False], ids=["text"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with rating_place(tmp_path, Keys(), audio=request.param) as place:
        yield place


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[Place]:
    """Takes a key, and the captions are heard."""
    key = Key("read", "ana", sha256(KEY.encode()).digest())
    with rating_place(tmp_path, Keys([key]), audio=True) as place:
        yield place


def open_page(browser: Any, place: Place, width: int = 1100, scheme: str = "light") -> tuple[Any, list[str]]:
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    context.set_default_timeout(PATIENCE_MS)
    page, troubles = context.new_page(), []
    page.on("console", lambda said: troubles.append(said.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.goto(place.address)
    return page, troubles


def begin(page: Any, name: str) -> None:
    page.get_by_label("Your name").fill(name)
    page.keyboard.press("Enter")
    expect(page.locator("#text")).to_be_visible()


def test_rating_by_keyboard_alone(browser: Any, place: Place) -> None:
    page, troubles = open_page(browser, place)
    begin(page, "Ana")
    expect(page.locator("#text")).to_have_text("caption 0, with <b>marks</b> & more")
    expect(page.locator("#image")).not_to_have_js_property("naturalWidth", 0)
    page.keyboard.press("ArrowRight")
    expect(page.locator("#text")).to_have_text(re.compile("^caption 1"))
    expect(page.get_by_role("status")).to_have_text(re.compile("^Good. caption 1"))
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#counts")).to_have_text("2 of 4 by you · 25 % of all ratings")
    page.keyboard.press("Backspace")
    expect(page.locator("#text")).to_have_text(re.compile("^caption 1"))
    page.keyboard.press("ArrowRight")
    expect(page.locator("#text")).to_have_text(re.compile("^caption 2"))
    assert place.verdicts() == [("Ana", "good"), ("Ana", "bad"), ("Ana", "withdrawn"), ("Ana", "good")]
    page.reload()
    expect(page.locator("#text")).to_have_text(re.compile("^caption 2"))
    for number in (3, None):
        page.keyboard.press("ArrowLeft")
        if number:
            expect(page.locator("#text")).to_have_text(re.compile(f"^caption {number}"))
    expect(page.get_by_role("heading", name="Nothing is left for you")).to_be_focused()
    page.context.close()
    assert troubles == []


def test_another_name_begins_anew_and_typing_rates_nothing(browser: Any, place: Place) -> None:
    page, troubles = open_page(browser, place)
    begin(page, "Ana")
    page.get_by_role("button", name="Good", exact=True).click()
    expect(page.locator("#text")).to_have_text(re.compile("^caption 1"))
    page.get_by_role("button", name="Not you?").click()
    field = page.get_by_label("Your name")
    field.fill("Boo")
    for key in ("ArrowLeft", "ArrowRight", "Backspace"):
        field.press(key)
    expect(field).to_have_value("Bo")
    page.keyboard.press("Enter")
    expect(page.locator("#text")).to_have_text(re.compile("^caption 0"))
    assert place.verdicts() == [("Ana", "good")]
    page.context.close()
    assert troubles == []


def test_a_server_that_is_gone_loses_nothing_silently(browser: Any, place: Place) -> None:
    page, _ = open_page(browser, place)
    page.route("**/v1/ratings?**", lambda route: route.abort(), times=1)
    page.reload()  # on a page that is loaded already, a call may still pass a new route by
    begin(page, "Ana")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("alert")).to_have_text(re.compile("this one is not. Try again"))
    expect(page.locator("#text")).to_have_text(re.compile("^caption 0"))
    page.keyboard.press("ArrowRight")
    expect(page.locator("#text")).to_have_text(re.compile("^caption 1"))
    expect(page.get_by_role("alert")).to_be_hidden()
    assert place.verdicts() == [("Ana", "good")]
    page.context.close()


@pytest.mark.parametrize("place", [True], indirect=True, ids=["audio"])
def test_a_caption_is_heard_where_there_is_audio(browser: Any, place: Place) -> None:
    page, troubles = open_page(browser, place)
    page.get_by_label("Your name").fill("Ana")
    page.get_by_role("button", name="Start").click()
    with page.expect_response(re.compile("/speech$")) as heard:
        page.get_by_role("button", name="Play the caption").click()
    assert heard.value.ok
    page.context.close()
    assert troubles == []


def test_the_page_asks_for_a_key_and_goes_on_with_it(browser: Any, keyed: Place) -> None:
    page, _ = open_page(browser, keyed)
    page.get_by_label("Your name").fill("Ana")
    page.keyboard.press("Enter")
    alert, field = page.get_by_role("alert"), page.get_by_label("Key for this service")
    expect(alert).to_contain_text("asks for a key")
    expect(field).to_be_focused()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert axe.Axe().run(page).response["violations"] == []
    field.fill("not this one")
    page.keyboard.press("Enter")
    expect(alert).to_contain_text("not known here")
    field.fill(KEY)
    page.keyboard.press("Enter")
    expect(alert).to_be_hidden()
    expect(field).to_have_count(0)
    expect(page.locator("#image")).not_to_have_js_property("naturalWidth", 0)
    with page.expect_response(re.compile("/speech$")) as heard:
        page.get_by_role("button", name="Play the caption").click()
    assert heard.value.ok
    page.keyboard.press("ArrowRight")
    expect(page.locator("#counts")).to_have_text(re.compile("^1 of 4"))
    assert keyed.verdicts() == [("Ana", "good")]
    page.context.close()


def test_a_key_typed_where_a_pair_is_shown_rates_nothing(browser: Any, keyed: Place) -> None:
    page, _ = open_page(browser, keyed)
    page.evaluate("localStorage.setItem('saysee-rater', 'Ana')")
    page.reload()  # known by name, and without the key that the last session had
    field = page.get_by_label("Key for this service")
    field.fill("ab")
    for key in ("ArrowLeft", "Backspace"):
        field.press(key)
    expect(field).to_have_value("b")
    assert keyed.verdicts() == []
    field.fill(KEY)
    page.keyboard.press("Enter")
    expect(page.locator("#turn")).to_be_visible()
    page.context.close()


@pytest.mark.parametrize(
    ("width", "scheme"), [(1100, "light"), (1100, "dark"), (360, "light"), (360, "dark")]
)
def test_every_view_is_accessible_and_fits(browser: Any, place: Place, width: int, scheme: str) -> None:
    page, _ = open_page(browser, place, width, scheme)

    def check() -> None:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert axe.Axe().run(page).response["violations"] == []

    expect(page.get_by_label("Your name")).to_be_visible()
    check()
    begin(page, "Ana")
    expect(page.locator("#image")).not_to_have_js_property("naturalWidth", 0)
    check()
    for number in range(4):
        page.get_by_role("button", name="Not good").click()
        expect(page.locator("#counts")).to_have_text(re.compile(f"^{number + 1} of 4"))
    expect(page.locator("#done")).to_be_visible()
    check()
    page.context.close()
