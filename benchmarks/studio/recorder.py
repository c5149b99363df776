"""A film of a page: what a browser shows, with a pointer, captions, and waits that are played faster."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

FPS, HEIGHT = 12, 60  # of the film; lines of the caption above the page
WIDTH = 960
KEPT_S = 0.06  # frames that follow sooner are dropped
# A dot that follows the mouse, also while a file is dragged; and a ring where it is pressed.
POINTER = """addEventListener('DOMContentLoaded', () => {
  const dot = document.createElement('div');
  Object.assign(dot.style, { position: 'fixed', left: '-40px', top: '-40px', width: '22px', height: '22px' });
  Object.assign(dot.style, { margin: '-11px', borderRadius: '50%', background: '#ffd400cc', border: '2px solid #000' });
  Object.assign(dot.style, { zIndex: 2147483647, pointerEvents: 'none', transition: 'transform .12s' });
  dot.setAttribute('aria-hidden', 'true');
  document.documentElement.append(dot);
  const move = (event) => { dot.style.left = `${event.clientX}px`; dot.style.top = `${event.clientY}px`; };
  for (const name of ['pointermove', 'dragover', 'drop']) addEventListener(name, move, true);
  addEventListener('pointerdown', () => { dot.style.transform = 'scale(.55)'; }, true);
  addEventListener('pointerup', () => { dot.style.transform = ''; }, true);
});"""


class Recorder:
    """Keeps the frames of a page (JPEG) with their time, the captions, and which times are waits."""

    def __init__(self, page: Any) -> None:
        self.page, self.frames, self.captions = page, list[tuple[float, bytes]](), list[tuple[float, str]]()
        self.waits: list[tuple[float, float, float]] = []  # from, to, and the seconds that it may take in the film
        self.cuts: list[float] = []
        self.session = page.context.new_cdp_session(page)
        self.session.on("Page.screencastFrame", self._take)
        size = {"maxWidth": WIDTH, "maxHeight": WIDTH}
        self.session.send("Page.startScreencast", {"format": "jpeg", "quality": 85, "everyNthFrame": 2, **size})

    def _take(self, message: Any) -> None:
        self.session.send("Page.screencastFrameAck", {"sessionId": message["sessionId"]})
        if not self.frames or time.time() - self.frames[-1][0] > KEPT_S:
            self.frames.append((time.time(), base64.b64decode(message["data"])))

    def say(self, text: str) -> None:
        """Set the caption from now on."""
        self.captions.append((time.time(), text))

    @contextmanager
    def wait(self, text: str, seconds: float) -> Iterator[None]:
        """Play the time that passes inside faster, within ``seconds`` of the film."""
        began = time.time()
        self.say(text)
        yield
        self.waits.append((began, time.time(), seconds))

    def stop(self) -> None:
        """Take no more frames."""
        self.session.send("Page.stopScreencast")
        self.frames.append((time.time(), self.frames[-1][1]))

    def write(self, path: Path, crf: int = 30) -> float:
        """Write the film (H.264, MP4) and return its seconds."""
        moments = self._moments()
        height = cv2.imdecode(np.frombuffer(self.frames[0][1], np.uint8), cv2.IMREAD_COLOR).shape[0] // 2 * 2
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w", options={"movflags": "faststart"}) as file:
            stream = file.add_stream("libx264", FPS, options={"crf": str(crf), "preset": "slow"})
            stream.width, stream.height, stream.pix_fmt = WIDTH, height + HEIGHT, "yuv420p"
            stream.time_base = Fraction(1, FPS)
            for number, moment in enumerate(moments):
                frame = av.VideoFrame.from_ndarray(self._picture(moment, height), "bgr24")
                frame.pts = number
                file.mux(stream.encode(frame))
            file.mux(stream.encode())
        return len(moments) / FPS

    def strip(self, path: Path, shares: Sequence[float]) -> None:
        """Write frames of the film at shares of its length, two beside each other (JPEG)."""
        moments = self._moments()
        height = cv2.imdecode(np.frombuffer(self.frames[0][1], np.uint8), cv2.IMREAD_COLOR).shape[0] // 2 * 2
        tiles = [self._picture(moments[int(share * (len(moments) - 1))], height) for share in shares]
        small = [cv2.resize(tile, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA) for tile in tiles]
        rows = [np.hstack(small[at : at + 2]) for at in range(0, len(small), 2)]
        cv2.imwrite(str(path), np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 82])

    def _moments(self) -> list[float]:
        """Return the time at which each frame of the film was seen."""
        moments, now = [], self.frames[0][0]
        while now < self.frames[-1][0]:
            moments.append(now)
            speed = next((max(1.0, (end - began) / most) for began, end, most in self.waits if began <= now < end), 1.0)
            now += speed / FPS
        return moments

    def _picture(self, moment: float, height: int) -> np.ndarray:
        """Return a frame of the film, (H, W, 3) uint8 BGR, with its caption above the page."""
        at = max(int(np.searchsorted([seen for seen, _ in self.frames], moment, "right")) - 1, 0)
        page = cv2.imdecode(np.frombuffer(self.frames[at][1], np.uint8), cv2.IMREAD_COLOR)
        picture = np.zeros((height + HEIGHT, WIDTH, 3), np.uint8)
        rows, columns = min(height, page.shape[0]), min(WIDTH, page.shape[1])
        picture[HEIGHT : HEIGHT + rows, :columns] = page[:rows, :columns]
        text = next((text for since, text in reversed(self.captions) if since <= moment), "")
        speed = next((((end - began) / most) for began, end, most in self.waits if began <= moment < end), 1.0)
        cv2.putText(picture, text, (16, 38), cv2.FONT_HERSHEY_DUPLEX, 0.72, (255, 255, 255), 1, cv2.LINE_AA)
        if speed > 1.5:
            cv2.putText(
                picture,
                f"x{speed:.0f}",
                (WIDTH - 70, 38),
                cv2.FONT_HERSHEY_DUPLEX,
                0.72,
                (84, 180, 255),
                1,
                cv2.LINE_AA,
            )
        return picture
