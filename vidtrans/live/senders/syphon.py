"""Syphon on macOS, by syphon-python."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from vidtrans.live.senders.base import NAME


class SyphonSender:
    """A server named ``vidtrans live`` for the programs of this machine."""

    _server: Any = None
    _texture: Any = None

    def open(self, width: int, height: int) -> None:
        """Begin with a Metal texture of this size. Raises RuntimeError where there is no Metal device."""
        import syphon
        from syphon.utils.raw import create_mtl_texture

        self._server = syphon.SyphonMetalServer(NAME)
        self._texture = create_mtl_texture(self._server.device, width, height)

    def send(self, picture: np.ndarray) -> None:
        """Send a picture, (height, width, 3) uint8 RGB."""
        from syphon.utils.numpy import copy_image_to_mtl_texture

        copy_image_to_mtl_texture(cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA), self._texture)
        self._server.publish_frame_texture(self._texture)

    def pump(self) -> None:
        """Answer programs that look for servers, for a millisecond."""
        import Foundation

        until = Foundation.NSDate.dateWithTimeIntervalSinceNow_(0.001)
        Foundation.NSRunLoop.currentRunLoop().runUntilDate_(until)

    def close(self) -> None:
        """End the server."""
        server, self._server, self._texture = self._server, None, None
        if server is not None:
            server.stop()
