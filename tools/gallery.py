"""Photograph parts of a run's report for docs/gallery.md.

cmg pretrain digits --out runs/digits && cmg report runs/digits
python tools/gallery.py runs/digits/report.html docs/gallery [CHROMIUM]
"""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

PARTS = {
    "transfer": "#transfer",
    "mix": "#mix",
    "codes": "#codes",
    "timeline": "#timelines .card.timeline",
}
"""Name of a picture, and which element of the page it is of: the first."""
TALLEST, COLORS = 900, 128


def main(report: Path, out: Path, browser: str = "/usr/bin/chromium") -> None:
    """Write a picture per part, in few colors so that it stays small."""
    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1100, "height": 900})
        page.goto(report.resolve().as_uri())
        for name, selector in PARTS.items():
            shot = page.locator(selector).first.screenshot()
            picture = Image.open(BytesIO(shot)).convert("RGB")
            picture = picture.crop((0, 0, picture.width, min(picture.height, TALLEST)))
            picture.quantize(COLORS, kmeans=1).save(out / f"{name}.png", optimize=True)
        chromium.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
