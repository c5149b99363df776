"""The built-in receivers: NDI, Spout on Windows, and Syphon on macOS."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from vidtrans.live.receivers import PictureReceiver
from vidtrans.live.senders import SENDER_NAME
from vidtrans.live.senders.built_in import run_mac_event_loop


class NdiReceiver(PictureReceiver):
    """A receiver of an NDI source, video in the local network."""

    _receiver: Any = None

    def __init__(self, name: str) -> None:
        from cyndilib import Finder, VideoFrameSync

        self._name, self._finder, self._frame = name, Finder(), VideoFrameSync()
        self._last = -1
        self._finder.open()

    def receive(self) -> np.ndarray | None:
        """Return a new picture, (H, W, 3) uint8 RGB; None if there is none."""
        if self._receiver is None and not self._connect():
            return None
        if not self._receiver.is_connected():
            return None
        self._receiver.frame_sync.capture_video()
        width, height, stamp = self._frame.xres, self._frame.yres, self._frame.get_timestamp_posix()
        if min(width, height) <= 0 or stamp == self._last:
            return None
        self._last = stamp
        pixels = np.array(self._frame.get_array()).reshape(height, width, 4)
        return cv2.cvtColor(pixels, cv2.COLOR_RGBA2RGB)

    def _connect(self) -> bool:
        """Connect to the first source with the name, if there is one."""
        from cyndilib import Receiver, RecvBandwidth, RecvColorFormat

        name = _first(self._finder.get_source_names(), self._name)
        if name is None:
            return False
        self._receiver = Receiver(color_format=RecvColorFormat.RGBX_RGBA, bandwidth=RecvBandwidth.highest)
        self._receiver.frame_sync.set_video_frame(self._frame)
        self._receiver.set_source(self._finder.get_source(name))
        return True

    def close(self) -> None:
        receiver, finder, self._receiver, self._finder = self._receiver, self._finder, None, None
        if receiver is not None:
            receiver.disconnect()
        if finder is not None:
            finder.close()


class SpoutReceiver(PictureReceiver):
    """A receiver of a Spout texture of another program on this machine."""

    def __init__(self, name: str) -> None:
        import SpoutGL

        self._receiver: Any = SpoutGL.SpoutReceiver()
        self._receiver.__enter__()
        self._name, self._pixels = name, np.empty((0, 0, 4), np.uint8)

    def receive(self) -> np.ndarray | None:
        """Return a new picture, (H, W, 3) uint8 RGB; None if there is none."""
        from SpoutGL.enums import GL_RGBA

        name = _first(self._receiver.getSenderList(), self._name)
        if name is None:
            return None
        self._receiver.setReceiverName(name)
        if not self._receiver.receiveImage(self._pixels if self._pixels.size else None, GL_RGBA, False, 0):
            return None
        if self._receiver.isUpdated():  # The size has changed: its pictures come from the next call on
            size = self._receiver.getSenderHeight(), self._receiver.getSenderWidth()
            self._pixels = np.zeros((*size, 4), np.uint8)
            return None
        if not self._pixels.size or not self._receiver.isFrameNew():
            return None
        return cv2.cvtColor(self._pixels, cv2.COLOR_RGBA2RGB)

    def close(self) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.__exit__(None, None, None)


class SyphonReceiver(PictureReceiver):
    """A receiver of a Syphon server of another program on this machine."""

    _client: Any = None

    def __init__(self, name: str) -> None:
        import syphon

        self._name, self._directory = name, syphon.SyphonServerDirectory()

    def receive(self) -> np.ndarray | None:
        """Return a new picture, (H, W, 3) uint8 RGB; None if there is none."""
        import syphon
        from syphon.utils.numpy import copy_mtl_texture_to_image

        if self._client is None or not self._client.is_valid:
            servers = {f"{one.app_name} {one.name}": one for one in self._directory.servers}
            name = _first(list(servers), self._name)
            if name is None:
                return None
            self._client = syphon.SyphonMetalClient(servers[name])
        if not self._client.has_new_frame:
            return None
        pixels = copy_mtl_texture_to_image(self._client.new_frame_image)
        return cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGBA2RGB)

    def pump(self) -> None:
        """Receive the announcements of Syphon servers, for a millisecond."""
        run_mac_event_loop()

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.stop()


def _first(names: list[str], part: str) -> str | None:
    """Return the first of the names of sources with ``part`` in it, whatever its case; not the session's own."""
    return next((name for name in names if part.lower() in name.lower() and SENDER_NAME not in name), None)
