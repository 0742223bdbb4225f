"""The explorer in a real browser: `make browser`. Not part of the default tests."""

from __future__ import annotations

import os
import threading
import time

import pytest
import uvicorn

from cmg.explore.app import make_app
from cmg.explore.serve import bound
from cmg.explore.session import Session

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tmp_path_factory, cmg):
    run = os.environ.get("CMG_RUN")
    if run is None:
        run = tmp_path_factory.mktemp("browser") / "run"
        assert cmg("pretrain", "digits", "training.epochs=1", "--out", run).code == 0
    session = Session.open(run, media=os.environ.get("CMG_MEDIA"))
    with bound("127.0.0.1", 0) as listening:
        server = uvicorn.Server(uvicorn.Config(make_app(session), log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.05)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def test_every_page_and_interaction(address, opened):
    with opened() as (page, looked_at):
        page.goto(address)
        looked_at("cards")
        page.get_by_label("Modality").select_option(index=1)
        page.get_by_role("button", name="Filter").click()
        assert page.locator(".card").count() > 0
        page.locator(".card a.open").first.focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**/codes/*")
        looked_at("steps")
        page.locator(".steps li a").first.click()
        page.wait_for_url("**/clips/*")
        if page.locator("#player audio").count():
            cell = page.locator("#timeline g[data-start]").nth(3)
            cell.click()
            page.wait_for_selector("#timeline g.now")
            line = page.locator("#timeline line.cursor")  # without width, so never "visible"
            assert line.evaluate("one => one.style.display") == ""
            assert float(line.get_attribute("x1")) > 0
        looked_at("clip")
        page.locator("ul.plain a").first.click()
        page.wait_for_url("**/search*")
        assert page.locator("ol.steps li").count() == 10
        looked_at("found")
        page.goto(f"{address}/search")
        looked_at("search")
        page.get_by_label("or id of a clip").fill("no such <b>clip</b>")
        page.get_by_role("button", name="Search", exact=True).click()
        assert "<b>clip</b>" in page.locator(".remark").inner_text()
        page.goto(f"{address}/?code=none")
        looked_at("none")
        controls = page.locator("a[href], button, input, select").count()
        for _ in range(controls):
            page.keyboard.press("Tab")
        reached = page.evaluate("document.activeElement !== document.body")
        assert reached
