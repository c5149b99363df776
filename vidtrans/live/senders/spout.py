"""Spout on Windows, by SpoutGL."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from vidtrans.live.senders.base import NAME


class SpoutSender:
    """A texture named ``vidtrans live`` for the programs of this machine."""

    _sender: Any = None

    def open(self, width: int, height: int) -> None:
        """Begin; the texture is made with the first picture."""
        import SpoutGL

        self._sender = SpoutGL.SpoutSender()
        self._sender.__enter__()
        self._sender.setSenderName(NAME)

    def send(self, picture: np.ndarray) -> None:
        """Send a picture, (height, width, 3) uint8 RGB. Raises RuntimeError where the GPU refuses it."""
        from SpoutGL.enums import GL_RGBA

        height, width = picture.shape[:2]
        pixels = cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA).tobytes()
        if not self._sender.sendImage(pixels, width, height, GL_RGBA, False, 0):
            raise RuntimeError("Spout sent no picture: it needs a GPU with DirectX 11")
        self._sender.setFrameSync(NAME)

    def pump(self) -> None:
        """Do nothing: this needs no main thread."""

    def close(self) -> None:
        """End the texture."""
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.__exit__(None, None, None)
