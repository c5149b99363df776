"""Senders of live pictures: the contract of every one, with a library that keeps what it gets in place of its own."""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from processes import until
from stand_ins import foundation, module

from vidtrans.core.errors import UsageError
from vidtrans.live.senders import SENDER_NAME, SENDERS, PictureSender, check_libraries, offered_senders
from vidtrans.live.stage_connections import PictureSendThread, open_sender
from vidtrans.live.stage_worker import PaintedFrame

Frames = list[np.ndarray]


class Library:
    """The calls of a stand-in library: ``frames``, (H, W, 3) uint8 RGB, ``sizes`` at opening, number of closes."""

    def __init__(self) -> None:
        self.frames: Frames = []
        self.sizes: list[tuple[int, int]] = []
        self.names: list[str] = []
        self.num_closed, self.fails = 0, False

    def open(self, width: int, height: int) -> None:
        self.sizes.append((width, height))

    def take(self, pixels: Any, width: int, height: int, channels: int) -> None:
        if self.fails:
            raise RuntimeError("the device\nis gone")
        picture = np.frombuffer(bytes(pixels), np.uint8).reshape(height, width, channels)
        if channels == 4:
            assert (picture[..., 3] == 255).all()
        self.frames.append(picture[..., :3].copy())

    def close(self, *_: object) -> None:
        self.num_closed += 1


def camera(library: Library) -> dict[str, types.ModuleType]:
    class Camera:
        def __init__(self, width: int, height: int, fps: float, *, print_fps: bool) -> None:
            assert width % 2 == height % 2 == 0
            self._size = width, height
            library.open(width, height)

        def send(self, picture: np.ndarray) -> None:
            assert picture.flags.c_contiguous
            library.take(picture, *self._size, 3)

        close = library.close

    return {"pyvirtualcam": module("pyvirtualcam", Camera=Camera)}


def ndi(library: Library) -> dict[str, types.ModuleType]:
    class Frame:
        def set_resolution(self, width: int, height: int) -> None:
            self.size = width, height

        def check(self, value: object) -> None:
            assert value in (30, "RGBX")

        set_frame_rate = set_fourcc = check

    class Sender:
        def __init__(self, name: str, *, clock_video: bool, clock_audio: bool) -> None:
            assert not clock_video
            library.names.append(name)

        def set_video_frame(self, frame: Frame) -> None:
            self.frame = frame

        def open(self) -> None:
            library.open(*self.frame.size)

        def write_video(self, pixels: np.ndarray) -> None:
            assert pixels.ndim == 1
            library.take(pixels, *self.frame.size, 4)

        close = library.close

    code = types.SimpleNamespace(RGBX="RGBX")
    return {"cyndilib": module("cyndilib", FourCC=code, Sender=Sender, VideoSendFrame=Frame)}


def spout(library: Library) -> dict[str, types.ModuleType]:
    class Sender:
        def __enter__(self) -> Sender:
            library.open(0, 0)
            return self

        def setSenderName(self, name: str) -> None:  # noqa: N802
            library.names.append(name)

        def sendImage(self, pixels: bytes, width: int, height: int, code: int, flip: bool, host: int) -> bool:  # noqa: N802
            assert (code, flip, host) == (6408, False, 0)
            library.take(pixels, width, height, 4)
            return True

        def setFrameSync(self, name: str) -> None:  # noqa: N802
            assert name == SENDER_NAME

        __exit__ = library.close

    enums = module("SpoutGL.enums", GL_RGBA=6408)
    return {"SpoutGL": module("SpoutGL", SpoutSender=Sender, enums=enums), "SpoutGL.enums": enums}


def syphon(library: Library) -> dict[str, types.ModuleType]:
    class Server:
        device = "a device"

        def __init__(self, name: str) -> None:
            library.names.append(name)

        def publish_frame_texture(self, texture: types.SimpleNamespace) -> None:
            library.take(texture.image, *texture.size, 4)

        stop = library.close

    def texture(device: str, width: int, height: int) -> types.SimpleNamespace:
        library.open(width, height)
        return types.SimpleNamespace(size=(width, height), image=None)

    raw = module("syphon.utils.raw", create_mtl_texture=texture)
    copy = module("syphon.utils.numpy", copy_image_to_mtl_texture=lambda image, to: setattr(to, "image", image.copy()))
    return {
        "syphon": module("syphon", SyphonMetalServer=Server),
        "syphon.utils": module("syphon.utils"),
        "syphon.utils.raw": raw,
        "syphon.utils.numpy": copy,
        "Foundation": foundation(),
    }


MADE: dict[str, Callable[[Library], dict[str, types.ModuleType]]] = {
    "virtual-camera": camera,
    "ndi": ndi,
    "spout": spout,
    "syphon": syphon,
}


@pytest.fixture(params=list(SENDERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def library(name: str, monkeypatch: pytest.MonkeyPatch) -> Library:
    found = Library()
    for dotted, made in MADE[name](found).items():
        monkeypatch.setitem(sys.modules, dotted, made)
    return found


def picture(height: int, width: int, colour: tuple[int, int, int]) -> np.ndarray:
    found = np.zeros((height, width, 3), np.uint8)
    found[: height // 2] = colour
    return found


def painted(found: np.ndarray) -> PaintedFrame:
    return PaintedFrame(None, found, found, 0.0)


def test_colours_sizes_and_ends_are_kept(name: str, library: Library) -> None:
    sender: PictureSender = SENDERS.load(name)()
    for height, width in ((48, 64), (33, 51)):
        sender.open(width, height)
        found = picture(height, width, (200, 100, 50))
        sender.send(found)
        sender.send(found[:, ::-1])  # not contiguous
        sender.pump()
        sender.close()
        for frame in library.frames[-2:]:
            assert (frame[:height, :width] == found).all()
            assert frame.shape[0] - height in (0, height % 2)
    sender.close()  # a second time does nothing
    assert library.num_closed == 2
    assert set(library.names) <= {SENDER_NAME}


@pytest.mark.parametrize("name", ["ndi"])
def test_the_newest_picture_is_repeated_and_a_library_that_fails_is_one_warning_and_is_tried_again(
    name: str, library: Library
) -> None:
    warnings: list[str] = []
    sending = PictureSendThread(name, SENDERS.load(name)(), warnings.append, retry_s=0.01)
    try:
        sending.send(painted(picture(32, 48, (9, 9, 9))))
        until(lambda: sending.num_sent >= 3)  # while no picture comes
        sending.send(painted(picture(64, 48, (0, 0, 255))))
        until(lambda: library.frames[-1].shape == (64, 48, 3))
        assert tuple(library.frames[-1][0, 0]) == (0, 0, 255)
        library.fails = True
        sending.send(painted(picture(32, 48, (8, 8, 8))))
        until(lambda: len(library.sizes) >= 4)
        assert len(warnings) == 1
        assert "the device is gone" in warnings[0]
        library.fails = False
        until(lambda: len(warnings) == 2)
    finally:
        sending.close()
    assert "works again" in warnings[1]
    assert library.num_closed == len(library.sizes)


def test_a_sender_that_waits_holds_up_nobody() -> None:
    free, begun = threading.Event(), threading.Event()
    got: list[int] = []

    def send(picture: np.ndarray) -> None:
        got.append(int(picture[0, 0, 0]))
        begun.set()
        free.wait()

    slow: Any = types.SimpleNamespace(send=send, open=lambda *size: None, pump=lambda: None, close=lambda: None)
    sending = PictureSendThread("slow", slow, print)
    for level in range(100):
        sending.send(painted(np.full((2, 2, 3), level, np.uint8)))
        begun.wait()
    free.set()
    until(lambda: len(got) > 1)
    sending.close()
    assert got[:2] == [0, 99]


def test_what_a_system_cannot_have_is_hidden() -> None:
    assert offered_senders("linux") == ["virtual-camera", "ndi"]
    assert "spout" in offered_senders("win32")
    assert "syphon" not in offered_senders("win32")
    assert "syphon" in offered_senders("darwin")
    assert set(MADE) == set(SENDERS)


def test_a_library_that_is_absent_or_refuses_is_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = SENDERS[name]
    monkeypatch.setattr("vidtrans.live.senders.find_spec", lambda module: None)
    with pytest.raises(UsageError, match=rf"{entry.module} is not installed.*vidtrans\[{entry.extra}\]"):
        check_libraries([name])
    monkeypatch.setitem(sys.modules, entry.module, None)
    with pytest.raises(UsageError, match=f"--send {name}") as caught:
        open_sender(name)
    assert "\n" not in str(caught.value)
