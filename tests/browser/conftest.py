"""A real Chromium, and what every page is asked."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
SHOTS = os.environ.get("CMG_SHOTS")
"""A folder for pictures of every page, to be looked at."""
CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def browser():
    assert CHROMIUM.is_file(), f"{CHROMIUM} is missing: apt-get install chromium"
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(params=["light", "dark"])
def scheme(request):
    return request.param


@pytest.fixture(params=[1400, 500])
def width(request):
    return request.param


@pytest.fixture
def opened(browser, scheme, width):
    """Open a page that logs no error: it, and `looked_at(NAME)`, which asks for what is seen."""

    @contextmanager
    def open_page():
        page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
        said: list[str] = []
        page.on("console", lambda one: said.append(one.text) if one.type == "error" else None)
        page.on("pageerror", lambda one: said.append(str(one)))

        def looked_at(name: str, whole: bool = False) -> None:
            if SHOTS:
                page.screenshot(path=f"{SHOTS}/{name}-{scheme}-{width}.png", full_page=whole)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
            assert page.evaluate(CONTRAST) == [], name

        yield page, looked_at
        assert said == []
        page.close()

    return open_page
