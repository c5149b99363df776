"""The built-in senders: a virtual camera, NDI, Spout on Windows, and Syphon on macOS."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import cv2
import numpy as np

from vidtrans.live.senders import NOMINAL_FPS, SENDER_NAME, PictureSender


class VirtualCamera(PictureSender):
    """A virtual camera that other programs list among their cameras. Sides of pictures are padded to even numbers."""

    _camera: Any = None
    _border = (0, 0)

    def open(self, width: int, height: int) -> None:
        """Open the first free virtual camera device for pictures of this size. Raises RuntimeError."""
        import pyvirtualcam

        self._border = height % 2, width % 2
        self._camera = pyvirtualcam.Camera(width + width % 2, height + height % 2, NOMINAL_FPS, print_fps=False)

    def send(self, picture: np.ndarray) -> None:
        """Send a picture, (height, width, 3) uint8 RGB; odd sides are extended by one pixel."""
        if any(self._border):
            below, beside = self._border
            picture = cv2.copyMakeBorder(picture, 0, below, 0, beside, cv2.BORDER_REPLICATE)
        self._camera.send(np.ascontiguousarray(picture))

    def close(self) -> None:
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()


class NdiSender(PictureSender):
    """A sender over NDI (video in the local network); the source is named ``COMPUTER (vidtrans live)``."""

    _sender: Any = None

    def open(self, width: int, height: int) -> None:
        """Announce the NDI source in the network. Raises RuntimeError."""
        from cyndilib import FourCC, Sender, VideoSendFrame

        frame = VideoSendFrame()
        frame.set_resolution(width, height)
        frame.set_frame_rate(Fraction(NOMINAL_FPS))
        frame.set_fourcc(FourCC.RGBX)
        # The library must not limit the frame rate: pictures are sent whenever they are painted.
        self._sender = Sender(SENDER_NAME, clock_video=False, clock_audio=False)
        self._sender.set_video_frame(frame)
        self._sender.open()

    def send(self, picture: np.ndarray) -> None:
        """Send a picture, (height, width, 3) uint8 RGB, to the receivers of the NDI source."""
        self._sender.write_video(cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA).reshape(-1))

    def close(self) -> None:
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.close()


class SpoutSender(PictureSender):
    """A sender of a Spout texture named ``vidtrans live`` to other programs on this machine."""

    _sender: Any = None

    def open(self, width: int, height: int) -> None:
        """Create the Spout sender; its texture is created with the first picture."""
        import SpoutGL

        self._sender = SpoutGL.SpoutSender()
        self._sender.__enter__()
        self._sender.setSenderName(SENDER_NAME)

    def send(self, picture: np.ndarray) -> None:
        """Send a picture, (height, width, 3) uint8 RGB. Raises RuntimeError where the GPU refuses it."""
        from SpoutGL.enums import GL_RGBA

        height, width = picture.shape[:2]
        pixels = cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA).tobytes()
        if not self._sender.sendImage(pixels, width, height, GL_RGBA, False, 0):
            raise RuntimeError("Spout sent no picture: it needs a GPU with DirectX 11")
        self._sender.setFrameSync(SENDER_NAME)

    def close(self) -> None:
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.__exit__(None, None, None)


class SyphonSender(PictureSender):
    """A Syphon server named ``vidtrans live``, which sends a texture to other programs on this machine."""

    _server: Any = None
    _texture: Any = None

    def open(self, width: int, height: int) -> None:
        """Create a server with a Metal texture of this size. Raises RuntimeError where there is no Metal device."""
        import syphon
        from syphon.utils.raw import create_mtl_texture

        self._server = syphon.SyphonMetalServer(SENDER_NAME)
        self._texture = create_mtl_texture(self._server.device, width, height)

    def send(self, picture: np.ndarray) -> None:
        """Send a picture, (height, width, 3) uint8 RGB, to the clients of the Syphon server."""
        from syphon.utils.numpy import copy_image_to_mtl_texture

        copy_image_to_mtl_texture(cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA), self._texture)
        self._server.publish_frame_texture(self._texture)

    def pump(self) -> None:
        """Answer programs that search for Syphon servers, for a millisecond."""
        run_mac_event_loop()

    def close(self) -> None:
        server, self._server, self._texture = self._server, None, None
        if server is not None:
            server.stop()


def run_mac_event_loop() -> None:
    """Run the event loop of macOS for a millisecond, through which Syphon's programs find each other."""
    import Foundation

    until = Foundation.NSDate.dateWithTimeIntervalSinceNow_(0.001)
    Foundation.NSRunLoop.currentRunLoop().runUntilDate_(until)
