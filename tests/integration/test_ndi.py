"""NDI in truth, where its library is installed: what is sent is found and received again on this machine."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("cyndilib") is None, reason="needs cyndilib: pip install 'vidtrans[ndi]'"
)
# Looked for at this machine's own address, without multicast.
CONFIG = '{"ndi": {"networks": {"ips": "127.0.0.1"}, "adapters": {"allowed": ["127.0.0.1"]}}}'
PROGRAM = """
import time

import numpy as np
from cyndilib import Finder, Receiver, RecvBandwidth, RecvColorFormat, VideoFrameSync

from vidtrans.live.stage_worker import PaintedFrame
from vidtrans.live.senders.built_in import NdiSender
from vidtrans.live.stage_connections import PictureSendThread

picture = np.zeros((180, 320, 3), np.uint8)
picture[:, :160] = 200, 60, 20
picture[:90, 160:] = 20, 180, 90
sending = PictureSendThread("ndi", NdiSender(), print)
finder, receiver, frame = Finder(), None, VideoFrameSync()
finder.open()
for _ in range(600):
    sending.send(PaintedFrame(None, picture, picture, 0.0))
    time.sleep(1 / 30)
    names = [name for name in finder.get_source_names() if "vidtrans live" in name]
    if receiver is None and names:
        receiver = Receiver(color_format=RecvColorFormat.RGBX_RGBA, bandwidth=RecvBandwidth.highest)
        receiver.frame_sync.set_video_frame(frame)
        receiver.set_source(finder.get_source(names[0]))
    if receiver is not None and receiver.is_connected():
        receiver.frame_sync.capture_video()
        if min(frame.xres, frame.yres) > 0:
            got = np.array(frame.get_array()).reshape(frame.yres, frame.xres, 4)
            if got.any():
                break
sending.close()
inner = np.abs(got[4:-4, 4:-4, :3].astype(int) - picture[4:-4, 4:-4])  # away from the rims
inner[:, 140:170], inner[80:94] = 0, 0  # and from edges, whose colours are stored at half the width
print(got.shape, inner.max())
"""


def printed_by(program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a program that finds its sources on this machine alone; return what it prints."""
    (tmp_path / "ndi-config.v1.json").write_text(CONFIG)
    monkeypatch.setenv("NDI_CONFIG_DIR", str(tmp_path))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_pictures_arrive_with_their_colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shape, _, most = printed_by(PROGRAM, tmp_path, monkeypatch).rpartition(" ")
    assert shape == "(180, 320, 4)"
    assert int(most) <= 12  # levels of 255: the video range and 8 bits


RECEIVE = """
import time

import numpy as np
from vidtrans.live.built_in_receivers import NdiReceiver
from vidtrans.live.senders import built_in

built_in.SENDER_NAME = "a mixer"
picture = np.zeros((180, 320, 3), np.uint8)
picture[:, :160] = 200, 60, 20
sender, receiver, others = built_in.NdiSender(), NdiReceiver("MIXER"), NdiReceiver("no such program")
sender.open(320, 180)
got = None
for n in range(600):
    sender.send(picture if n % 2 else picture[:, ::-1])
    time.sleep(1 / 30)
    got = receiver.receive()
    if got is not None and got.any():
        break
assert others.receive() is None
for one in (receiver, receiver, others, sender):
    one.close()
print(got.shape, got[90, 8].tolist(), got[90, -8].tolist())
"""


def test_pictures_of_another_program_are_received(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shape, _, pixels = printed_by(RECEIVE, tmp_path, monkeypatch).partition(") ")
    assert shape == "(180, 320, 3"
    dark, bright = sorted((json.loads(part + "]") for part in pixels.rstrip("]").split("] ")), key=sum)
    assert max(dark) < 16
    assert all(abs(value - wanted) <= 12 for value, wanted in zip(bright, (200, 60, 20), strict=True))
