"""The web page in a real Chromium against the real service: say it, see it; show it, hear it; faults."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from tests.browser.conftest import AWKWARD, PICTURES, OpenPage, caption_of, clip
from tests.fixtures.media_bytes import make_png
from tests.fixtures.page_checks import faults, tab_to, until, wide

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra `dev`)")
expect = sync_api.expect

pytestmark = pytest.mark.browser

PICTURE = {"name": "field.png", "mimeType": "image/png", "buffer": make_png(5)}
TEXT = {"name": "notes.wav", "mimeType": "audio/wav", "buffer": b"These are notes and no sound at all.\n"}
HITS = 12


def record(page: Any, milliseconds: int = 1500) -> None:
    button = page.get_by_role("button", name="Press and speak")
    button.click()
    expect(page.get_by_role("button", name="Stop and search")).to_be_visible()
    page.wait_for_timeout(milliseconds)
    page.get_by_role("button", name="Stop and search").click()
    expect(page.locator("#results")).to_be_visible()


def show(page: Any, file: dict[str, Any]) -> None:
    page.locator("#file").set_input_files(file)


def with_limits(address: str, **changed: float) -> Callable[[Any], None]:
    """The service's own limits but for some, told to the page alone."""
    with urlopen(f"{address}/v1/limits") as answer:
        told = {**json.load(answer), **changed}
    return lambda page: page.route("**/v1/limits", lambda route: route.fulfill(json=told))


def plays(player: Any) -> None:
    """The player's button starts it, and time really passes."""
    player.get_by_role("button", name=re.compile("^Play")).click()
    expect(player.get_by_role("button", name=re.compile("^Pause"))).to_be_visible()
    expect(player.locator(".seek")).not_to_have_js_property("value", "0")


def test_the_start_offers_pictures_and_something_to_say(open_page: OpenPage) -> None:
    with open_page() as page:
        samples = page.locator("#samples a")
        expect(samples).to_have_count(8)
        expect(samples.first.get_by_role("img")).to_have_attribute("alt", caption_of(7))
        expect(page.get_by_text("Try saying")).to_be_visible()
        words = page.locator(".idea-words")
        first = words.text_content()
        page.get_by_role("button", name="Another").click()
        expect(words).not_to_have_text(first)
        holdings = f"{PICTURES} pictures · {2 * PICTURES - 2} spoken captions"
        expect(page.locator("#holdings")).to_have_text(holdings)


def test_say_it_see_it(open_page: OpenPage) -> None:
    with open_page() as page:
        page.get_by_role("button", name="Press and speak").click()
        stop = page.get_by_role("button", name="Stop and search")
        expect(stop).to_be_visible()
        until(page, "() => Number(document.querySelector('#record').style.getPropertyValue('--level')) > 0.2")
        expect(page.locator("#elapsed")).to_have_text(re.compile("0:0[1-7] of 0:08"))
        stop.click()

        expect(page.locator("#hits .picture")).to_have_count(HITS)
        expect(page.get_by_role("status")).to_have_text(f"{HITS} pictures found.")
        expect(page.get_by_role("heading", name=f"{HITS} pictures, closest first")).to_be_focused()
        until(
            page,
            "() => [...document.querySelectorAll('#hits img')].slice(0, 5).every((one) => one.naturalWidth)",
        )
        expect(page.locator("#foot")).to_contain_text("encoding")
        expect(page.get_by_text("You said")).to_be_visible()
        plays(page.locator("#query .player"))

        # The same clip the other way: the caption that the microphone heard is the closest caption.
        page.get_by_role("radio", name="Spoken captions").check(force=True)
        expect(page.locator("#hits .player")).to_have_count(HITS)
        expect(page.locator("#hits .words").first).to_contain_text(caption_of(3))


def test_a_recording_ends_by_itself_at_the_limit(open_page: OpenPage, address: str) -> None:
    with open_page(before=with_limits(address, max_seconds=1.5)) as page:
        expect(page.get_by_text("up to 1.5 seconds")).to_be_visible()
        page.get_by_role("button", name="Press and speak").click()
        expect(page.locator("#hits .picture")).to_have_count(HITS)


def test_a_discarded_recording_is_never_sent(open_page: OpenPage) -> None:
    with open_page() as page:
        sent: list[str] = []
        page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
        page.get_by_role("button", name="Press and speak").click()
        page.get_by_role("button", name="Discard").click()
        expect(page.get_by_role("button", name="Press and speak")).to_be_focused()
        expect(page.get_by_role("status")).to_have_text("Recording discarded.")
        assert not sent


def test_a_question_for_the_microphone_can_be_withdrawn(open_page: OpenPage) -> None:
    late = """const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async (wanted) => {
            await new Promise((resolve) => setTimeout(resolve, 600));
            window.given = await ask(wanted);
            return window.given;
        };"""
    with open_page(script=late) as page:
        page.get_by_role("button", name="Press and speak").click()
        expect(page.get_by_role("button", name="Waiting for the microphone")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Press and speak")).to_be_visible()
        until(page, "() => window.given?.getTracks().every((one) => one.readyState === 'ended')")
        expect(page.get_by_role("button", name="Press and speak")).to_be_visible()
        expect(page.locator("#results")).to_be_hidden()


def test_show_it_hear_it(open_page: OpenPage) -> None:
    with open_page() as page:
        show(page, PICTURE)
        expect(page.locator("#hits .player")).to_have_count(HITS)
        expect(page.get_by_role("status")).to_have_text(f"{HITS} spoken captions found.")
        expect(page.get_by_role("img", name="Your picture field.png")).to_be_visible()
        expect(page.locator("#hits .by").first).to_contain_text("Voice")
        players = page.locator("#hits .player")
        plays(players.nth(0))
        # Starting another stops the first.
        plays(players.nth(1))
        expect(players.nth(0).get_by_role("button", name=re.compile("^Play"))).to_be_visible()

        page.get_by_role("radio", name="Pictures").check(force=True)
        expect(page.locator("#hits .picture img").first).to_have_attribute("alt", caption_of(5))
        expect(page.locator("#hits .closeness").first).to_contain_text("very close")


def test_sound_files_and_an_asked_for_kind(open_page: OpenPage) -> None:
    with open_page() as page:
        page.get_by_role("radio", name="Spoken captions").check(force=True)
        show(page, {"name": "said.wav", "mimeType": "audio/wav", "buffer": clip(4)})
        expect(page.locator("#hits .words").first).to_contain_text(caption_of(4))
        plays(page.locator("#query .player"))


def test_dropping_and_pasting(open_page: OpenPage) -> None:
    transfer = """async (bytes) => {
        const carried = new DataTransfer();
        carried.items.add(new File([new Uint8Array(bytes)], "field.png", { type: "image/png" }));
        return carried;
    }"""
    with open_page() as page:
        carried = page.evaluate_handle(transfer, list(make_png(5)))
        page.dispatch_event("body", "dragenter", {"dataTransfer": carried})
        expect(page.get_by_text("Let go to search with it")).to_be_visible()
        page.dispatch_event("body", "drop", {"dataTransfer": carried})
        expect(page.locator("#hits .player")).to_have_count(HITS)
        expect(page.get_by_text("Let go to search with it")).to_be_hidden()

        page.get_by_role("link", name="SaySee").click()
        expect(page.locator("#start")).to_be_visible()
        carried = page.evaluate_handle(transfer, list(make_png(5)))
        page.evaluate(
            "(carried) => document.body.dispatchEvent("
            "new ClipboardEvent('paste', { clipboardData: carried, bubbles: true, cancelable: true }))",
            carried,
        )
        expect(page.locator("#hits .player")).to_have_count(HITS)


def test_from_hit_to_hit_and_back(open_page: OpenPage) -> None:
    with open_page() as page:
        record(page)
        picture = page.locator("#hits .picture").nth(2)
        identity, alternative = picture.get_attribute("id"), picture.get_by_role("img").get_attribute("alt")
        picture.click()
        expect(page.locator("#hits .player")).to_have_count(HITS)
        expect(page.get_by_role("img", name=alternative)).to_be_visible()
        assert "from=images/" in page.url

        page.locator("#hits .words").first.click()
        expect(page.locator("#hits .picture")).to_have_count(HITS)
        expect(page.get_by_role("navigation", name="Steps so far").get_by_role("listitem")).to_have_count(4)

        page.go_back()
        expect(page.locator("#hits .player")).to_have_count(HITS)
        page.go_back()
        expect(page.locator("#hits .picture")).to_have_count(HITS)
        assert page.evaluate("document.activeElement.id") == identity
        page.go_back()
        expect(page.locator("#start")).to_be_visible()
        page.go_forward()
        expect(page.locator("#hits .picture")).to_have_count(HITS)
        page.get_by_role("navigation", name="Steps so far").get_by_role("link", name="Start").click()
        expect(page.locator("#start")).to_be_visible()


def test_an_address_can_be_shared_and_reloaded(open_page: OpenPage) -> None:
    with open_page(f"/?from=images/{quote(AWKWARD, safe='')}&find=images") as page:
        expect(page.locator("#hits .picture")).not_to_have_count(0)
        expect(page.locator("#query img")).to_be_visible()
        expect(page.locator("#start")).to_be_hidden()
        page.locator("#hits .picture").first.click()
        expect(page.locator("#hits .player")).to_have_count(HITS)
        page.reload()
        expect(page.locator("#hits .player")).to_have_count(HITS)
        expect(page.get_by_role("navigation", name="Steps so far").get_by_role("listitem")).to_have_count(3)


def test_what_was_said_is_gone_after_a_reload_and_the_page_says_so(open_page: OpenPage) -> None:
    with open_page() as page:
        show(page, PICTURE)
        expect(page.locator("#hits .player")).to_have_count(HITS)
        page.reload()
        expect(page.get_by_role("alert")).to_contain_text("gone")
        expect(page.locator("#start")).to_be_visible()


def test_what_was_looked_at_last_is_kept_and_the_rest_is_let_go(open_page: OpenPage) -> None:
    """Twenty recordings and pictures are held; a page left open for a day would hold hundreds."""
    count_held = """window.held = new Set();
        const [make, drop] = [URL.createObjectURL, URL.revokeObjectURL];
        URL.createObjectURL = (file) => { const url = make(file); window.held.add(url); return url; };
        URL.revokeObjectURL = (url) => { window.held.delete(url); drop(url); };"""
    own = "() => document.querySelector('#query img')?.naturalWidth > 0"

    def show_number(page: Any, number: int) -> None:
        show(page, {**PICTURE, "name": f"field {number}.png"})
        expect(page).to_have_url(re.compile(rf"mine={number}&"))
        expect(page.get_by_role("img", name=f"Your picture field {number}.png")).to_be_visible()

    with open_page(script=count_held) as page:
        expect(page.locator("#samples a")).to_have_count(8)
        for number in range(1, 21):
            show_number(page, number)
        page.evaluate("history.go(-19)")
        expect(page.get_by_role("img", name="Your picture field 1.png")).to_be_visible()
        show_number(page, 21)
        assert page.evaluate("window.held.size") == 20
        page.go_back()  # to the first, which was looked at just before
        expect(page.get_by_role("img", name="Your picture field 1.png")).to_be_visible()
        until(page, own)
        # The second is the one that went; where it is asked for, the page says so and begins anew.
        page.evaluate("history.replaceState({}, '', '/?mine=2&find=captions')")
        page.go_forward()
        expect(page.get_by_role("img", name="Your picture field 21.png")).to_be_visible()
        page.go_back()
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("That recording or picture is gone")
        expect(alert).to_contain_text("Only your latest searches are kept")
        expect(page.locator("#start")).to_be_visible()
        page.go_forward()
        expect(page.locator("#hits .player")).to_have_count(HITS)
        until(page, own)


@pytest.mark.parametrize("query", ["from=foo", "from=videos/x&find=images", "from=", "mine=foo", "mine=-1"])
def test_an_address_that_leads_nowhere_says_so(open_page: OpenPage, query: str) -> None:
    with open_page(f"/?{query}") as page:
        expect(page.get_by_text("This address leads nowhere")).to_be_visible()
        expect(page.locator("#samples a")).to_have_count(8)
        assert page.evaluate("location.search") == ""


def test_keyboard_only(open_page: OpenPage) -> None:
    with open_page() as page:
        # Listened for from the start: asked for just before the key, the key may come first.
        page.on("filechooser", lambda chooser: chooser.set_files(PICTURE))
        expect(page.locator("#samples a")).to_have_count(8)
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the search")).to_be_focused()
        page.keyboard.press("Enter")
        tab_to(page, "#record")
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Stop and search")).to_be_focused()
        page.wait_for_timeout(1200)
        page.keyboard.press("Space")
        expect(page.locator("#results-title")).to_be_focused()

        tab_to(page, "input[name=show]")
        page.keyboard.press("ArrowRight")
        expect(page.locator("#hits .player")).to_have_count(HITS)
        tab_to(page, "#hits .play")
        page.keyboard.press("Space")
        player = page.locator("#hits .player").first
        expect(player).to_have_attribute("data-state", "playing")
        page.keyboard.press("Space")
        expect(player).to_have_attribute("data-state", "paused")
        page.keyboard.press("Tab")
        before = float(player.locator(".seek").input_value())
        page.keyboard.press("ArrowRight")
        until(
            page,
            "(before) => document.activeElement.matches('.seek') && document.activeElement.value > before",
            before,
        )
        tab_to(page, "#hits a")
        page.keyboard.press("Enter")
        expect(page.locator("#hits .picture")).to_have_count(HITS)

        page.get_by_role("link", name="SaySee").focus()
        page.keyboard.press("Enter")
        tab_to(page, "#choose")
        page.keyboard.press("Enter")
        expect(page.locator("#hits .player")).to_have_count(HITS)


def test_text_is_refused_in_words_and_nothing_is_lost(open_page: OpenPage) -> None:
    with open_page(expected=("415",)) as page:
        expect(page.locator("#samples a")).to_have_count(8)
        show(page, TEXT)
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("Neither a sound nor a picture")
        assert len(alert.locator(".alert-detail").inner_text()) > 20
        expect(page.locator("#start")).to_be_visible()
        assert page.url.endswith("/")
        page.get_by_role("button", name="Dismiss this message").click()
        expect(page.get_by_role("button", name="Press and speak")).to_be_focused()
        expect(alert).to_be_empty()
        show(page, PICTURE)
        expect(page.locator("#hits .player")).to_have_count(HITS)


def test_silence_is_refused_in_words(open_page: OpenPage) -> None:
    silence = clip(1)[:44] + bytes(40_000)
    with open_page(expected=("422",)) as page:
        show(page, {"name": "hush.wav", "mimeType": "audio/wav", "buffer": silence})
        expect(page.get_by_role("alert")).to_contain_text("Nothing to search with in there")


def test_a_file_over_the_limit_is_not_sent(open_page: OpenPage, address: str) -> None:
    with open_page(before=with_limits(address, max_body_bytes=100)) as page:
        expect(page.locator("#samples a")).to_have_count(8)
        show(page, PICTURE)
        expect(page.get_by_role("alert")).to_contain_text("too large")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("NotAllowedError", "The microphone is not allowed"),
        ("NotFoundError", "No microphone found"),
        ("NotReadableError", "The microphone is taken"),
    ],
)
def test_no_microphone_is_explained(open_page: OpenPage, error: str, words: str) -> None:
    refuse = f"navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', '{error}'));"
    with open_page(script=refuse) as page:
        page.get_by_role("button", name="Press and speak").click()
        expect(page.get_by_role("alert")).to_contain_text(words)
        expect(page.get_by_role("alert")).to_contain_text("choose an audio file")
        expect(page.get_by_role("button", name="Press and speak")).to_be_enabled()


def test_a_service_that_still_starts_is_waited_for(open_page: OpenPage) -> None:
    problem = {"type": "/problems/not-ready", "status": 503, "detail": "The index is being opened."}

    ready: list[bool] = []

    def not_yet(page: Any) -> None:
        def answer(route: Any) -> None:
            if ready:
                route.continue_()
            else:
                route.fulfill(
                    status=503,
                    headers={"Retry-After": "1"},
                    content_type="application/problem+json",
                    body=json.dumps(problem),
                )

        page.route("**/v1/limits", answer)

    with open_page(before=not_yet, expected=("503",)) as page:
        expect(page.get_by_role("alert")).to_contain_text("The index is being opened.")
        expect(page.get_by_role("button", name="Try again")).to_be_visible()
        note = page.locator("#record-note")
        expect(note).to_contain_text("hold it")
        expect(note).not_to_contain_text("seconds")  # nobody knows yet how many
        ready.append(True)
        expect(page.locator("#samples a")).to_have_count(8)
        expect(note).to_contain_text("up to 8 seconds")
        expect(page.get_by_role("alert")).to_be_empty()


def test_a_lost_connection_can_be_tried_again(open_page: OpenPage) -> None:
    def once(page: Any) -> None:
        page.route("**/v1/search/**", lambda route: route.abort(), times=1)

    with open_page(before=once, expected=("ERR_FAILED", "net::")) as page:
        expect(page.locator("#samples a")).to_have_count(8)
        show(page, PICTURE)
        expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
        page.get_by_role("button", name="Try again").click()
        expect(page.locator("#hits .player")).to_have_count(HITS)


def each_state(page: Any) -> Any:
    """The page in its states, one after the other, each with its name."""
    expect(page.locator("#samples a")).to_have_count(8)
    yield "start"
    show(page, TEXT)
    expect(page.get_by_role("alert")).not_to_be_empty()
    yield "error"
    page.get_by_role("button", name="Press and speak").click()
    expect(page.get_by_role("button", name="Stop and search")).to_be_visible()
    page.wait_for_timeout(600)
    yield "recording"
    page.get_by_role("button", name="Stop and search").click()
    expect(page.locator("#hits .picture")).to_have_count(HITS)
    yield "pictures"
    page.get_by_role("button", name="How close is close?").click()
    expect(page.locator("#measure")).to_be_visible()
    yield "what close means"
    page.keyboard.press("Escape")
    page.locator(".zoom").first.click()
    until(page, "() => document.querySelector('#viewer-picture').naturalWidth > 0")
    yield "a picture seen large"
    page.keyboard.press("Escape")
    page.locator("#glance").click()
    expect(page.get_by_role("heading", name="Map")).to_be_visible()
    page.locator("#map-canvas").press("ArrowRight")
    expect(page.locator("#map-card")).to_be_visible()
    yield "the map"
    page.keyboard.press("Escape")
    page.get_by_role("radio", name="Spoken captions").check(force=True)
    expect(page.locator("#hits .player")).to_have_count(HITS)
    yield "captions"
    page.locator("#hits .words").first.click()
    expect(page.locator("#hits .picture")).to_have_count(HITS)
    show(page, TEXT)
    expect(page.get_by_role("alert")).not_to_be_empty()
    yield "error beside results"


@pytest.mark.parametrize("width", [320, 360, 820])
def test_nothing_scrolls_sideways(open_page: OpenPage, width: int) -> None:
    with open_page(width=width, height=740, expected=("415",)) as page:
        for state in each_state(page):
            assert not wide(page), state


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_no_fault(open_page: OpenPage, scheme: str, width: int) -> None:
    with open_page(width=width, scheme=scheme, expected=("415",)) as page:
        page.emulate_media(reduced_motion="reduce")  # nothing fades in while contrast is measured
        for state in each_state(page):
            assert not faults(page), state
