"""The explorer in a real browser: `make browser`. Not part of the default tests."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from tests.browser.conftest import looking
from tests.extract.media import tone_wave, write_picture, write_sound

pytestmark = pytest.mark.browser
KEYBOARD = (Path(__file__).parent / "keyboard.js").read_text(encoding="utf-8")
FOCUSED = """() => {
  const at = document.activeElement, box = getComputedStyle(at);
  const inner = at.querySelector(":scope > rect");
  const ring = (inner && at.matches("g") ? getComputedStyle(inner).strokeWidth : box.outlineWidth);
  return [window.controls.indexOf(at), at.matches(":focus-visible") && parseFloat(ring) >= 2];
}"""
MOVED = """() => {
  const line = document.querySelector("#timeline line.cursor");
  return document.querySelector("#player audio").currentTime > 0.3 && line.style.display === ""
    && document.querySelectorAll("#timeline g.now").length > 0;
}"""


def until(page, true):
    """Wait for what a page says; its policy forbids playwright's own way, which is `eval`."""
    given_up = time.monotonic() + 10
    while not page.evaluate(true):
        assert time.monotonic() < given_up, true
        page.wait_for_timeout(30)


def test_pages_of_an_embedded_set(digits, browser, scheme, width):
    with looking(browser, scheme, width) as (page, looked_at):
        page.goto(digits)
        looked_at("cards")
        page.locator("nav.turn a", has_text="next").click()
        page.wait_for_url("**/?page=2")
        page.get_by_label("Modality").select_option(index=1)
        page.get_by_role("button", name="Filter").click()
        assert page.locator(".card").count() > 0
        page.locator(".card a.open").first.focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**/codes/*")
        looked_at("steps")
        first = page.locator(".steps li").first.inner_text()
        page.locator("nav.turn a", has_text="next").click()
        assert "page 2 of" in page.locator("nav.turn").inner_text()
        assert page.locator(".steps li").first.inner_text() != first
        page.locator(".steps li a").first.click()
        page.wait_for_url("**/clips/*")
        page.locator("#timeline g[data-start]").nth(3).click()
        page.wait_for_selector("#timeline g.now")
        line = page.locator("#timeline line.cursor")  # without width, so never "visible"
        assert line.evaluate("one => one.style.display") == ""
        assert float(line.get_attribute("x1")) > 0
        looked_at("clip")
        assert page.get_by_text("Segment by a query").count() == 0
        page.locator("ul.plain a").first.click()
        page.wait_for_url("**/search*")
        assert page.locator("ol.steps li").count() == 10
        looked_at("found")
        page.goto(f"{digits}/search")
        looked_at("search")
        page.get_by_label("or id of a clip").fill("no such <b>clip</b>")
        page.get_by_role("button", name="Search", exact=True).click()
        assert "<b>clip</b>" in page.locator(".remark").inner_text()
        page.goto(f"{digits}/?code=none")
        looked_at("none")


SIZES = pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 500)])


@SIZES
def test_cards_steps_and_a_player_of_own_media(own, browser, scheme, width):
    with looking(browser, scheme, width) as (page, looked_at):
        page.goto(own)
        looked_at("own-cards")
        page.get_by_label("Label").select_option("2")
        page.get_by_role("button", name="Filter").click()
        code = page.locator(".card a.open .chip").first.inner_text().strip()
        page.get_by_label("Code", exact=True).fill(code)
        page.get_by_role("button", name="Filter").click()
        assert page.locator(".card").count() == 1
        page.locator(".card a.open").click()
        looked_at("own-steps")
        assert page.evaluate(
            "[...document.images].every((one) => !one.complete || one.naturalWidth)"
        )
        page.goto(f"{own}/clips/0")
        page.locator("#player audio").focus()
        page.keyboard.press("Space")
        until(page, MOVED)
        page.evaluate("document.querySelector('#player audio').pause()")
        cell = page.locator("#timeline g[data-start]").nth(2)
        cell.focus()
        page.keyboard.press("Enter")
        until(page, "document.querySelector('#timeline g.now').dataset.start === '1'")
        looked_at("own-clip")
        page.locator("nav.turn a", has_text="next").click()
        page.wait_for_url("**/clips/1")


@SIZES
def test_words_ids_sounds_and_pictures_find_and_segment(own, browser, tmp_path, scheme, width):
    with looking(browser, scheme, width) as (page, looked_at):
        page.goto(f"{own}/search")
        words = page.locator("form[method=get]")
        words.get_by_label("Words").fill("a low one")
        words.get_by_label("Ask by").select_option("text")
        words.get_by_label("Find").select_option("video")
        words.get_by_label("Compare").select_option("codes")
        words.locator("button").click()
        assert page.locator("ol.steps li").count() == 10
        looked_at("own-found")
        page.get_by_role("link", name="segment").first.click()
        page.wait_for_selector("img.masked")
        assert page.locator("img.masked").count() == 2
        assert "By “a low one”" in page.locator("h3").inner_text()
        looked_at("own-masks")
        page.goto(f"{own}/search")
        page.get_by_label("or id of a clip").fill("clip4")
        page.get_by_role("button", name="Search", exact=True).click()
        assert page.locator("ol.steps li").count() == 10
        sound, picture = tmp_path / "tone.wav", tmp_path / "gray.png"
        write_sound(sound, tone_wave(1.0, 600.0, 16000))
        write_picture(picture, np.full((24, 32, 3), 200, np.uint8))
        for file, source, target in ((sound, "audio", "video"), (picture, "video", "text")):
            page.goto(f"{own}/search")
            sent = page.locator("form[method=post]")
            sent.get_by_label("Sound, picture or clip").set_input_files(file)
            sent.get_by_label("Ask by").select_option(source)
            sent.get_by_label("Find").select_option(target)
            sent.locator("button").click()
            page.wait_for_selector("ol.steps li")
            assert page.locator("ol.steps li").count() == 10, file
        page.goto(f"{own}/clips/0")
        page.locator("form[method=get]").get_by_label("Ask by").select_option("audio")
        page.get_by_role("button", name="Segment", exact=True).click()
        page.wait_for_selector("img.masked")
        assert "By its own audio" in page.locator("h3").inner_text()
        sent = page.locator("form[method=post]")
        sent.get_by_label("Ask by").select_option("audio")
        sent.get_by_label("Sound, picture or text").set_input_files(sound)
        sent.locator("button").click()
        page.get_by_text("By the audio of a file").wait_for()


def test_a_clip_out_of_a_longer_file_is_played_where_it_lies(own, browser):
    with looking(browser, "light", 1400) as (page, looked_at):
        page.goto(f"{own}/clips/10")
        assert page.locator("h1").inner_text() == "part1"
        audio = page.locator("#player audio")
        until(page, "document.querySelector('#player audio').readyState > 0")
        until(page, "document.querySelector('#player audio').currentTime >= 1.99")
        assert audio.evaluate("one => one.currentTime") == pytest.approx(2, abs=0.01)
        starts = "[...document.querySelectorAll('#timeline g.now')].map((g) => g.dataset.start)"
        assert set(page.evaluate(starts)) == {"0"}
        page.locator("#timeline g[data-start='1']").first.click()
        until(page, "document.querySelector('#player audio').currentTime >= 2.99")
        assert set(page.evaluate(starts)) == {"1"}
        audio.evaluate("one => { one.currentTime = 2; }")
        audio.evaluate("one => one.play()")
        until(page, "document.querySelector('#player audio').paused")
        assert audio.evaluate("one => one.currentTime") == pytest.approx(4, abs=0.3)
        looked_at("own-part")


def test_an_upload_that_is_no_media_is_told_on_a_page(own, browser, tmp_path):
    (tmp_path / "none.exe").write_bytes(b"MZ")
    (tmp_path / "none.wav").write_bytes(b"no sound")
    page = browser.new_page()
    for name, says in (("none.exe", "is no video, sound, picture"), ("none.wav", "none.wav")):
        page.goto(f"{own}/search")
        page.get_by_label("Sound, picture or clip").set_input_files(tmp_path / name)
        page.locator("form[method=post]").get_by_label("Ask by").select_option("audio")
        page.get_by_role("button", name="Search by file").click()
        told = page.locator(".remark").inner_text()
        assert says in told
        assert str(tmp_path) not in told
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_control_is_reached_by_the_keyboard_and_seen(own, browser, scheme):
    with looking(browser, scheme, 1400) as (page, _):
        for address in ("/", "/codes/0", "/clips/0", "/search?clip=clip0&source=audio"):
            page.goto(own + address)
            page.wait_for_load_state("networkidle")
            count = page.evaluate(KEYBOARD)
            unseen = set(range(count))
            for _ in range(12 * count):  # a player has several stops
                page.keyboard.press("Tab")
                at, visible = page.evaluate(FOCUSED)
                if visible:
                    unseen.discard(at)
                if not unseen:
                    break
            names = page.evaluate("(at) => at.map((i) => controls[i].outerHTML.slice(0, 90))",
                                  sorted(unseen))  # fmt: skip
            assert names == [], address
