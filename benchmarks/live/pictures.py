"""Make the pictures of the live page for the docs: a drawing, a camera, a phone, and a session that was recorded.

    vidtrans make-dataset flower.mp4 --set pairing.gradient_channel=false --set pairing.density=0.08 -o lines.dataset
    vidtrans train lines.dataset --minutes 4
    python -m benchmarks.live.pictures docs/images --model lines.safetensors

Without ``--model`` the one that ships draws, which knows soft shades beside its lines, and paints drawings duller.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import vidtrans
from benchmarks.live.bench import SHIPPED
from benchmarks.live.browser import film, page, server

OTHERS = ("--model", "ink", "--model", "oil")
Stroke = list[tuple[float, float]]  # in shares of the canvas


def petals(count: int = 9, x: float = 0.5, y: float = 0.46) -> Iterator[Stroke]:
    """Yield the strokes of a flower."""
    for k in range(count):
        turn = 2 * math.pi * k / count
        stroke = []
        for step in range(17):
            t = step / 16 * math.pi
            along, across = 0.1 + 0.25 * math.sin(t), 0.075 * math.cos(t)
            stroke.append(
                (
                    x + along * math.cos(turn) - across * math.sin(turn),
                    y + along * math.sin(turn) + across * math.cos(turn),
                )
            )
        yield stroke
    ring = [(x + 0.09 * math.cos(k / 3), y + 0.09 * math.sin(k / 3)) for k in range(20)]
    yield ring
    yield [(x + 0.03 * math.sin(k), 0.8 + 0.025 * k) for k in range(8)]


def draw(opened: Any, stroke: Stroke) -> None:
    """Draw a stroke with the mouse."""
    box = opened.locator("#drawing").bounding_box()
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
    opened.mouse.move(*at[0])
    opened.mouse.down()
    for point in at[1:]:
        opened.mouse.move(*point, steps=2)
    opened.mouse.up()


def save(opened: Any, path: Path) -> None:
    """Save what a page shows, as a JPEG."""
    shot = cv2.imdecode(np.frombuffer(opened.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    cv2.imwrite(str(path), shot, [cv2.IMWRITE_JPEG_QUALITY, 88])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="flower")
    asked = parser.parse_args()
    folder: Path = asked.folder
    with tempfile.TemporaryDirectory() as made:
        camera = film(SHIPPED, Path(made))
        with server("--model", asked.model, *OTHERS, "-o", made) as (link, _):
            with page(link, camera) as opened:
                opened.click("[data-source=drawing]")
                opened.click("#input-view summary")
                opened.click("#record")
                for stroke in petals():
                    draw(opened, stroke)
                    opened.wait_for_timeout(500)
                opened.wait_for_timeout(1500)
                opened.click("#record")
                opened.wait_for_function("() => document.getElementById('news').textContent.startsWith('Recorded')")
                opened.evaluate("() => scrollTo(0, 0)")
                save(opened, folder / "live.jpg")
                opened.click("[data-source=camera]")
                opened.wait_for_timeout(4000)
                save(opened, folder / "live-camera.jpg")
            with page(link, camera, width=360) as opened:
                opened.click("[data-source=drawing]")
                opened.locator("#drawing").scroll_into_view_if_needed()
                for stroke in petals():
                    draw(opened, stroke)
                opened.wait_for_timeout(2500)
                opened.evaluate("() => scrollTo(0, 60)")
                save(opened, folder / "live-phone.jpg")
        (session,) = Path(made).glob("*.live-*.mp4")
        vidtrans.stylize(
            session,
            "identity",
            folder / "live-session.gif",
            cache_dir=Path(made) / "cache",
            overwrite=True,
            settings={"encoding": {"fps": "10"}},
        )


if __name__ == "__main__":
    main()
