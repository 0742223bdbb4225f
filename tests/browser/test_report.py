"""The report of a run on one's own clips in a real browser: `make browser`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page_of(tmp_path_factory, request, cmg):
    """A report with frames, players and words; of CMG_RUN and CMG_MEDIA, where these are given."""
    out, given = tmp_path_factory.mktemp("browser"), os.environ.get("CMG_MEDIA")
    clips = None if given else request.getfixturevalue("own_clips")
    run = os.environ["CMG_RUN"] if clips is None else clips / "run"
    said = cmg("report", run, "--media", given or clips / "media", "--out", out / "report")
    assert said.code == 0, said.err
    return Path(out / "report" / "report.html").as_uri()


def test_a_report_with_own_media(page_of, opened):
    with opened() as (page, looked_at):
        page.goto(page_of)
        looked_at("report", whole=True)
        for kind in ("img.frame", "audio", "#transfer .heat"):
            assert page.locator(kind).count() > 0, kind
        broken = "all => all.filter(one => !one.complete || !one.naturalWidth).length"
        page.evaluate("document.querySelectorAll('img').forEach(one => one.loading = 'eager')")
        page.wait_for_function("[...document.images].every(one => one.complete)")
        assert page.locator("img").evaluate_all(broken) == 0
        player = page.locator("audio").first
        seconds = "one => new Promise(done => { const told = () => done(one.duration); "
        seconds += "one.readyState ? told() : (one.onloadedmetadata = told, one.load()) })"
        assert player.evaluate(seconds) > 0.4
        order = page.locator("main > section").evaluate_all("all => all.map(one => one.id)")
        assert order.index("codes") < order.index("training")
        for summary in page.locator("summary").all():
            summary.click()
        looked_at("report-unfolded")
        wide = "all => all.filter(one => one.scrollWidth > one.clientWidth && one.tabIndex < 0)"
        assert page.locator(".scroll").evaluate_all(f"{wide}.length") == 0
