"""A virtual camera, by pyvirtualcam: OBS's on Windows and macOS, v4l2loopback's on Linux."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from vidtrans.live.senders.base import FPS


class VirtualCamera:
    """A camera that other programs list among theirs. Sides of pictures are padded to even numbers."""

    _camera: Any = None
    _border = (0, 0)

    def open(self, width: int, height: int) -> None:
        """Open the first free camera device. Raises RuntimeError."""
        import pyvirtualcam

        self._border = height % 2, width % 2
        self._camera = pyvirtualcam.Camera(width + width % 2, height + height % 2, FPS, print_fps=False)

    def send(self, picture: np.ndarray) -> None:
        """Send a picture, (height, width, 3) uint8 RGB."""
        if any(self._border):
            below, beside = self._border
            picture = cv2.copyMakeBorder(picture, 0, below, 0, beside, cv2.BORDER_REPLICATE)
        self._camera.send(np.ascontiguousarray(picture))

    def pump(self) -> None:
        """Do nothing: this needs no main thread."""

    def close(self) -> None:
        """Close the device."""
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()
