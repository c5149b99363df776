"""The interface of senders."""

from __future__ import annotations

from typing import Protocol

import numpy as np

NAME = "vidtrans live"  # by which other programs find the pictures
FPS = 30  # that is said to programs that ask for a rate; pictures are sent as they are painted


class PictureSender(Protocol):
    """Gives pictures to other programs. One thread calls all methods but ``pump``; ``close`` follows ``open``."""

    def open(self, width: int, height: int) -> None:
        """Begin with pictures of this size. Raises any error that the library raises, in words for a person."""

    def send(self, picture: np.ndarray) -> None:
        """Send a picture, (height, width, 3) uint8 RGB, of the size that ``open`` got."""

    def pump(self) -> None:
        """Do what the system wants of the main thread, in a millisecond; called there ten times a second."""

    def close(self) -> None:
        """End; the next ``open`` may have another size."""
