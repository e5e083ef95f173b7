"""The operator's page: what there is, what serves, promote and roll back after a question, what failed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from indexer import store
from tests.fixtures.live_server import live_server
from tests.fixtures.page_checks import PATIENCE_MS, faults, wide

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra `dev`)")
expect = sync_api.expect

pytestmark = pytest.mark.browser

KEY = "the operator's own"
READ_KEY = "somebody's who searches"


@pytest.fixture
def index(served_index: Path, corpus: Path, tmp_path: Path) -> Path:
    """Two generations; the older one serves."""
    from indexer.build import build

    copied = Path(shutil.copytree(served_index, tmp_path / "index"))
    build(
        served_index.parent / "bundle",
        copied,
        images=corpus / "images.jsonl",
        threads=1,
        map_it=False,
    )
    return copied


@pytest.fixture
def ids(index: Path) -> tuple[str, str]:
    """The one that serves, and the newer one."""
    newer, older = [one.id for one in store.list_generations(index)]
    return older, newer


@pytest.fixture
def operated(index: Path) -> Iterator[str]:
    from service.app import create_app
    from service.settings import Settings

    readers = f"read somebody {sha256(READ_KEY.encode()).hexdigest()}"
    settings = Settings(index=index, threads=1, operator_key=KEY, keys=readers)  # type: ignore[arg-type]
    with live_server(create_app(settings)) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.emulate_media(reduced_motion="reduce")
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    yield page
    context.close()
    assert not troubles


def enter(page: Any, address: str) -> None:
    page.goto(f"{address}/operator")
    page.get_by_label("Operator key").fill(KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="2 generations, newest first")).to_be_focused()


def row(page: Any, generation: str) -> Any:
    return page.locator(".generation").filter(has_text=generation)


def test_it_promotes_and_rolls_back_after_a_question(
    page: Any, operated: str, index: Path, ids: tuple[str, str]
) -> None:
    older, newer = ids
    enter(page, operated)
    expect(row(page, older)).to_contain_text("Serves now")
    expect(row(page, older)).to_contain_text("14 pictures and 26 spoken captions")
    expect(row(page, newer)).to_contain_text("14 pictures")
    expect(row(page, newer)).to_contain_text("no map")
    expect(page.get_by_role("button", name="Roll back")).to_be_disabled()

    row(page, newer).get_by_role("button", name=f"Promote {newer}").click()
    question = page.get_by_role("dialog", name=f"Serve {newer}?")
    expect(question.get_by_role("button", name="Leave it as it is")).to_be_focused()
    question.get_by_role("button", name="Leave it as it is").click()
    page.get_by_role("button", name="Look again").click()
    expect(row(page, older)).to_contain_text("Serves now")
    assert store.current_generation(index) == older

    row(page, newer).get_by_role("button", name=f"Promote {newer}").click()
    question.get_by_role("button", name="Promote it").click()
    expect(row(page, newer)).to_contain_text("Serves now")
    expect(page.get_by_role("status")).to_have_text(f"{newer} serves now.")
    assert page.get_by_role("status").bounding_box()["height"] > 10  # there for the eye, too
    expect(row(page, older)).to_contain_text("A rollback returns to it")
    assert store.current_generation(index) == newer

    page.get_by_role("button", name="Roll back").click()
    page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    expect(row(page, older)).to_contain_text("Serves now")
    assert store.current_generation(index) == older


def test_what_failed_is_told_with_its_reason(
    page: Any, operated: str, index: Path, ids: tuple[str, str]
) -> None:
    older, newer = ids
    vectors = index / "generations" / newer / "images.faiss"
    data = vectors.read_bytes()
    vectors.unlink()
    vectors.write_bytes(data[:-1])
    enter(page, operated)
    row(page, newer).get_by_role("button", name=f"Promote {newer}").click()
    question = page.get_by_role("dialog", name=f"Serve {newer}?")
    expect(question.locator(".problem")).to_be_empty()
    question.get_by_role("button", name="Promote it").click()
    alert = page.get_by_role("alert")
    expect(alert.locator("b")).to_have_text("The generation cannot be served")
    expect(alert).to_contain_text("images.faiss has")
    expect(page.get_by_role("status")).to_have_text("Nothing was changed.")
    expect(row(page, newer).locator(".problem")).to_contain_text("images.faiss has")
    expect(row(page, older)).to_contain_text("Serves now")
    # Asked again, the question names it; on a phone the reason stands above the button.
    page.set_viewport_size({"width": 390, "height": 844})
    promote = row(page, newer).get_by_role("button", name=f"Promote {newer}")
    assert promote.bounding_box()["y"] > row(page, newer).locator(".problem").bounding_box()["y"]
    promote.click()
    expect(question.locator(".problem")).to_contain_text("images.faiss has")
    assert not wide(page)
    assert not faults(page)


def test_a_wrong_key_is_refused_and_none_is_kept(page: Any, operated: str) -> None:
    for wrong, what in (("not this one", "a key"), (READ_KEY, "an operator key")):
        page.goto(f"{operated}/operator")
        page.get_by_label("Operator key").fill(wrong)
        page.keyboard.press("Enter")
        alert = page.get_by_role("alert")
        expect(alert.locator("b")).to_have_text("The key does not open this")
        expect(alert).to_contain_text(f"The key sent is not {what} of this server.")
        expect(alert).not_to_contain_text("until you close the browser")
        expect(page.locator("#desk")).to_be_hidden()
    enter(page, operated)
    assert page.context.cookies([f"{operated}/v1/index"]) == []
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0
    page.reload()
    expect(page.locator("#desk")).to_be_hidden()
    expect(page.get_by_label("Operator key")).to_be_empty()


def test_without_an_operator_key_it_says_how_to_set_one(page: Any, address: str) -> None:
    page.goto(f"{address}/operator")
    page.get_by_label("Operator key").fill(KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("SAYSEE_OPERATOR_KEY")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_and_axe_finds_no_fault(
    page: Any, operated: str, ids: tuple[str, str], width: int, scheme: str
) -> None:
    page.set_viewport_size({"width": width, "height": 740})
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{operated}/operator")
    assert not wide(page)
    assert not faults(page)
    enter(page, operated)
    assert not wide(page)
    assert not faults(page)
    page.get_by_role("button", name=f"Promote {ids[1]}").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert not wide(page)
    assert not faults(page)
