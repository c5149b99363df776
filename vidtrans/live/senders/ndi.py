"""NDI, by cyndilib, which brings the library of Vizrt's NDI SDK along."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import cv2
import numpy as np

from vidtrans.live.senders.base import FPS, NAME


class NdiSender:
    """A source of NDI named ``COMPUTER (vidtrans live)``."""

    _sender: Any = None

    def open(self, width: int, height: int) -> None:
        """Announce the source. Raises RuntimeError."""
        from cyndilib import FourCC, Sender, VideoSendFrame

        frame = VideoSendFrame()
        frame.set_resolution(width, height)
        frame.set_frame_rate(Fraction(FPS))
        frame.set_fourcc(FourCC.RGBX)
        # Not paced by the library: the pictures have a rate of their own.
        self._sender = Sender(NAME, clock_video=False, clock_audio=False)
        self._sender.set_video_frame(frame)
        self._sender.open()

    def send(self, picture: np.ndarray) -> None:
        """Send a picture, (height, width, 3) uint8 RGB."""
        self._sender.write_video(cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA).reshape(-1))

    def pump(self) -> None:
        """Do nothing: this needs no main thread."""

    def close(self) -> None:
        """End the source."""
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.close()
