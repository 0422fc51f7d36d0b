"""A page in headless Chromium that reaches this machine only, and pictures of it for the docs.

Pictures are kept where the environment variable TOOLKIT_SCREENSHOTS names a folder, under the
names that docs show them by: `make screenshots` writes docs/images anew.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import Page, Route, sync_playwright

WAIT_MS = 60_000  # a busy machine
WIDTH, QUALITY = 1120, 80  # px, and JPEG's per cent: below 200 kB
LOCAL = ("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:", "file:")


@contextmanager
def local_page(width: int = 1400, height: int = 900) -> Iterator[Page]:
    """Open a page; every request to another machine fails."""
    program = shutil.which("chromium")
    assert program, "Chromium is not installed: run scripts/browser, as 'make test' does"

    def local(route: Route) -> None:
        here = route.request.url.startswith(LOCAL)
        route.continue_() if here else route.abort()

    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=program,
            args=["--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader"],
        )
        page = browser.new_page(viewport={"width": width, "height": height})
        page.route("**/*", local)
        page.set_default_timeout(WAIT_MS)
        try:
            yield page
        finally:
            browser.close()


def picture(page: Page, name: str | None = None) -> np.ndarray:
    """What the page shows, as RGB (h, w, 3); kept under a name where a person asked for it."""
    pixels = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    if name is not None:
        keep(pixels, name)
    return pixels[..., ::-1]


def keep(pixels: np.ndarray, name: str) -> None:
    """Write a picture (BGR) to the folder that TOOLKIT_SCREENSHOTS names, if it names one."""
    folder = os.environ.get("TOOLKIT_SCREENSHOTS")
    if folder:
        share = min(1.0, WIDTH / pixels.shape[1])
        small = cv2.resize(pixels, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        path = str(Path(folder) / f"{name}.jpg")
        cv2.imwrite(path, small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
