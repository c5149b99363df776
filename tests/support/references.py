"""Media files that refer to other files or to the network, and a server that notes who asks it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import av
from clips import moving_frames, write_clip

FRAMES = 10  # of clip.mp4, and of each of its copies as a segment
KEY = b"0123456789abcdef"


@dataclass
class Server:
    """``asked``: the paths that were asked for."""

    address: str
    asked: list[str] = field(default_factory=list)


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Serve a folder on a free port of this machine."""
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def do_GET(self) -> None:
            asked.append(self.path)
            super().do_GET()

        def log_message(self, format: str, *arguments: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Server(f"http://127.0.0.1:{server.server_port}", asked)
        finally:
            server.shutdown()
            thread.join()


def copied(source: Path, target: Path, options: dict[str, str] | None = None) -> Path:
    """The pictures of ``source`` in another container."""
    with closing(av.open(str(source))) as read, closing(av.open(str(target), "w", options=options or {})) as written:
        stream = read.streams.video[0]
        out = written.add_stream_from_template(stream)
        for packet in read.demux(stream):
            if packet.size:
                packet.stream = out
                written.mux(packet)
    return target


def write_parts(folder: Path) -> None:
    """Write what the files refer to: clip.mp4, part.ts, secret0.ts (encrypted) with key.ts, 001.pgmyuv …"""
    clip = write_clip(folder / "clip.mp4", moving_frames(FRAMES))
    copied(clip, folder / "part.ts")
    (folder / "key.ts").write_bytes(KEY)  # called so because the HLS demuxer looks at endings
    (folder / "info").write_text(f"key.ts\n{folder / 'key.ts'}\n{'0' * 32}\n")
    copied(clip, folder / "secret.m3u8", {"hls_key_info_file": str(folder / "info"), "hls_time": "100"})
    for number in range(1, FRAMES + 1):
        (folder / f"{number:03}.pgmyuv").write_bytes(b"P5 32 48 255\n" + bytes(32 * 48))


def concat(*names: str) -> str:
    return "ffconcat version 1.0\n" + "".join(f"file '{name}'\n" for name in names)


def playlist(*entries: str) -> str:
    """Of segments; an entry that begins with # is a line."""
    lines = [entry if entry.startswith("#") else f"#EXTINF:0.4,\n{entry}" for entry in entries]
    return "\n".join(["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:1", *lines, "#EXT-X-ENDLIST", ""])


def key(address: str) -> str:
    return f'#EXT-X-KEY:METHOD=AES-128,URI="{address}",IV=0x{"0" * 32}'


def referring(kind: str, folder: Path, server: Server) -> Path:
    """Write a file whose first part lies beside it, and which also refers to what ``kind`` says.

    The first part alone would be opened where nothing limits FFmpeg, whose own default allows file, crypto and data.
    """
    size = (folder / "clip.mp4").stat().st_size
    data = base64.b64encode(KEY).decode()
    subfile = f"subfile,,start,0,end,{size},,:{folder / 'clip.mp4'}"
    name, text = {
        "concat": ("a.ffconcat", concat("clip.mp4", "clip.mp4")),
        "concat called mp4": ("a.mp4", concat("clip.mp4", "clip.mp4")),
        "concat of the network": ("a.txt", concat("clip.mp4", f"{server.address}/clip.mp4")),
        "concat of a subfile": ("a.txt", concat("clip.mp4", subfile)),
        "playlist": ("a.m3u8", playlist("part.ts", "part.ts")),
        "playlist of file:": ("a.m3u8", playlist("part.ts", f"file://{folder / 'part.ts'}")),
        "playlist of the network": ("a.m3u8", playlist("part.ts", f"{server.address}/part.ts")),
        "key of the network": ("a.m3u8", playlist("part.ts", key(f"{server.address}/key.ts"), "secret0.ts")),
        "key in data:": ("a.m3u8", playlist("part.ts", key(f"data:text/plain;base64,{data}"), "secret0.ts")),
        "crypto": ("a.m3u8", playlist("part.ts", key("key.ts"), "secret0.ts")),
        "numbered pictures": ("%03d.pgmyuv", "P5 32 48 255\n"),
    }[kind]
    (folder / name).write_text(text)
    return folder / name


def in_another_file(source: Path, other: str) -> bytes:
    """A QuickTime movie's bytes, changed to say that its pictures lie in the file ``other`` beside it."""
    data = source.read_bytes()
    assert data.index(b"mdat") < data.index(b"moov"), "the places of pictures would move"
    at = data.index(b"dref") + 12
    assert data[at : at + 12] == b"\0\0\0\x0curl \0\0\0\1"
    path = f"x/{other}".encode()
    record = bytes(10 + 28 + 12 + 64 + 16) + (1).to_bytes(2) * 2 + bytes(16)
    path += b"\0" * (len(path) % 2)
    record += (2).to_bytes(2) + len(path).to_bytes(2) + path + b"\xff\xff\0\0"
    entry = (12 + len(record)).to_bytes(4) + b"alis" + bytes(4) + record
    made = bytearray(data[:at] + entry + data[at + 12 :])
    for box in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        start = made.index(box) - 4
        made[start : start + 4] = (int.from_bytes(made[start : start + 4]) + len(entry) - 12).to_bytes(4)
    return bytes(made)
