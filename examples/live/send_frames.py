"""Send a clip to a running ``vidtrans live`` as if it were played, and write the painted pictures as a video.

    vidtrans live --model flower                                    # prints the LINK
    python examples/live/send_frames.py LINK clip.mp4 -o out.mp4
    python examples/live/send_frames.py LINK clip.mp4 -o out.mp4 --all    # every frame, however long that takes

At most two frames are on their way; those that come meanwhile are left out, but for the newest. With ``--all`` each
waits for the picture of the one before it, as a picture that is overtaken by the next one is never sent. This needs
websockets, av, numpy and OpenCV, and imports nothing of vidtrans: copy what you need.
"""

from __future__ import annotations

import argparse
import json
import ssl
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

import av
import cv2
import numpy as np
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

VERSION = 1
FRAME = struct.Struct("<BBHId")  # version, kind, 0, sequence, timestamp; then a JPEG, PNG or WebP file
PICTURE = struct.Struct("<BBHIdIffI")  # the same five, sender, model_ms, server_ms, bytes of the first file; two files
KINDS = {"picture": 1, "drawing": 2}
PAINTED, REPEATED, DROPPED = 1, 2, 3
MOST_UNDERWAY = 2
TIMEOUT_S = 60.0
TIME_BASE = Fraction(1, 90000)


class Picture(NamedTuple):
    """A painted picture, (H, W, 3) uint8 RGB, with the time of its frame in seconds of the clip."""

    time_s: float
    rgb: np.ndarray


class Sender:
    """Sends frames over a connection, and receives what becomes of them."""

    def __init__(self, socket: ClientConnection, kind: str, most_underway: int = MOST_UNDERWAY) -> None:
        self._socket, self._kind, self._most_underway = socket, kind, most_underway
        self._number = 0  # of this connection, which the server's first message says
        self._underway: set[int] = set()
        self.num_sent = self.num_dropped = 0

    @property
    def is_free(self) -> bool:
        """Return whether another frame may be sent now."""
        return len(self._underway) < self._most_underway

    @property
    def is_done(self) -> bool:
        """Return whether every frame was answered."""
        return not self._underway

    def send(self, time_s: float, rgb: np.ndarray) -> None:
        """Send a frame, (H, W, 3) uint8 RGB."""
        self.num_sent += 1
        self._underway.add(self.num_sent)
        # The timestamp comes back as it was: it says which frame a picture belongs to. Drawings keep exact colours.
        header = FRAME.pack(VERSION, KINDS[self._kind], 0, self.num_sent, 1000 * time_s)
        self._socket.send(header + encode(rgb, ".png" if self._kind == "drawing" else ".jpg"))

    def receive(self, timeout_s: float) -> Picture | None:
        """Return the picture of a frame; None where something else came, or nothing for so long."""
        try:
            data = self._socket.recv(timeout=timeout_s)
        except TimeoutError:
            return None
        if isinstance(data, bytes):
            return self._read_picture(data)
        self._read_message(json.loads(data))
        return None

    def _read_message(self, message: dict[str, Any]) -> None:
        if message["type"] == "hello":
            self._number = message["you"]
        elif message["type"] == "problem":
            print(message["text"], file=sys.stderr)
        elif message["type"] == "replaced":
            sys.exit(f"another source is painted now: {message['by']}. Start this again to send more.")

    def _read_picture(self, data: bytes) -> Picture | None:
        _, kind, _, sequence, timestamp, sender, _, _, length = PICTURE.unpack_from(data)
        if sender != self._number or kind == REPEATED:  # another source's, or the same frame painted once more
            return None
        self._underway.discard(sequence)
        if kind == DROPPED:
            self.num_dropped += 1
            return None
        picture = cv2.imdecode(np.frombuffer(data, np.uint8, offset=PICTURE.size + length), cv2.IMREAD_COLOR)
        return None if picture is None else Picture(timestamp / 1000, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))


def encode(rgb: np.ndarray, suffix: str) -> bytes:
    """Return a picture, (H, W, 3) uint8 RGB, as a file."""
    return cv2.imencode(suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes()


def paint(sender: Sender, frames: Iterator[tuple[float, np.ndarray]], *, every: bool = False) -> Iterator[Picture]:
    """Send frames at their times, and yield the pictures. ``every``: leave out none, and keep to no time."""
    began, newest, upcoming = time.monotonic(), None, next(frames, None)
    heard = began
    while upcoming or newest or not sender.is_done:
        now = time.monotonic()
        while upcoming and (newest is None if every else upcoming[0] <= now - began):
            newest, upcoming = upcoming, next(frames, None)
        if newest and sender.is_free:
            sender.send(*newest)
            newest, heard = None, now
            continue
        wait = TIMEOUT_S if upcoming is None or every else upcoming[0] - (now - began)
        num_dropped = sender.num_dropped
        picture = sender.receive(max(0.0, min(wait, TIMEOUT_S)))
        if picture is not None:
            yield picture
        if picture is not None or sender.num_dropped > num_dropped or sender.is_done:
            heard = time.monotonic()
        elif time.monotonic() - heard > TIMEOUT_S:
            sys.exit(f"the server has not answered for {TIMEOUT_S:.0f} s")


def read_frames(path: str) -> Iterator[tuple[float, np.ndarray]]:
    """Yield the time of each frame in seconds, from 0, and its picture, (H, W, 3) uint8 RGB."""
    first = None
    with closing(av.open(path)) as clip:
        for frame in clip.decode(video=0):
            time_s = float(frame.time or 0)
            first = time_s if first is None else first
            yield time_s - first, frame.to_ndarray(format="rgb24")


class Video:
    """Writes pictures at their times. The size is that of the first one, made even."""

    def __init__(self, path: str) -> None:
        self._container: Any = av.open(path, "w")
        self._stream: Any = None
        self.num_frames = 0

    def write(self, picture: Picture) -> None:
        """Add a picture."""
        if self._stream is None:
            height, width = picture.rgb.shape[:2]
            self._stream = self._container.add_stream("libx264", rate=30, options={"crf": "16"})
            self._stream.width, self._stream.height, self._stream.pix_fmt = width & ~1, height & ~1, "yuv420p"
            self._stream.codec_context.time_base = TIME_BASE
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture.rgb), format="rgb24")
        frame = frame.reformat(self._stream.width, self._stream.height, "yuv420p")
        frame.pts, frame.time_base = round(picture.time_s / TIME_BASE), TIME_BASE
        self._container.mux(self._stream.encode(frame))
        self.num_frames += 1

    def close(self) -> None:
        """Finish the file."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()


def address(link: str) -> str:
    """Return the address of the WebSocket that belongs to a printed link."""
    parts = urlsplit(link)
    query = urlencode({"token": parse_qs(parts.query)["token"][0], "role": "program"})
    return f"{parts.scheme.replace('http', 'ws', 1)}://{parts.netloc}/ws?{query}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("link", help="what vidtrans live has printed, with its token")
    parser.add_argument("clip")
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--kind", choices=tuple(KINDS), default="picture", help="drawing: frames are the model's input")
    parser.add_argument("--all", action="store_true", help="send every frame, however long it takes")
    parser.add_argument("--certificate", help="live-certificate.pem of a server with --https")
    flags = parser.parse_args()
    trusted = ssl.create_default_context(cafile=flags.certificate) if flags.certificate else None
    try:
        with connect(address(flags.link), max_size=None, ssl=trusted) as socket, closing(Video(flags.output)) as video:
            sender = Sender(socket, flags.kind, 1 if flags.all else MOST_UNDERWAY)
            for picture in paint(sender, read_frames(flags.clip), every=flags.all):
                video.write(picture)
    except (ConnectionClosed, InvalidStatus, OSError) as error:
        sys.exit(f"{flags.link}: {error}")
    print(f"{flags.output}: {video.num_frames} of {sender.num_sent} frames painted, {sender.num_dropped} dropped")


if __name__ == "__main__":
    main()
