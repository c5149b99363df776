"""Receivers of live pictures: the contract of every one, with a library that gives pictures in place of its own."""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from processes import until
from stand_ins import foundation, module

from vidtrans.core.errors import UsageError
from vidtrans.live import senders
from vidtrans.live.receivers import RECEIVERS, PictureReceiver, check_receiver
from vidtrans.live.senders import SENDER_NAME
from vidtrans.live.stage_connections import PictureReceiveThread

NAMES = [SENDER_NAME, "Mixer (program)", "Camera"]


class Library:
    """The state of a stand-in library: what the chosen source shows, (H, W, 4) uint8 RGBA, and what was called."""

    def __init__(self) -> None:
        self.pictures: list[np.ndarray] = []
        self.chosen = ""
        self.is_closed = False

    def show(self, height: int, width: int) -> np.ndarray:
        picture = np.random.default_rng(height).integers(0, 256, (height, width, 4), np.uint8)
        self.pictures.append(picture)
        return picture[..., :3]


def ndi(library: Library) -> dict[str, types.ModuleType]:
    class Frame:
        xres = yres = 0

        def get_timestamp_posix(self) -> float:
            return self.stamp

        def get_array(self) -> np.ndarray:
            return self.picture.reshape(-1)

        def capture_video(self) -> None:
            if library.pictures:
                self.picture = library.pictures[-1]
                self.yres, self.xres = self.picture.shape[:2]
            self.stamp = float(len(library.pictures))

        def set_video_frame(self, frame: Frame) -> None:
            assert isinstance(frame, Frame)
            self.capture_video = frame.capture_video  # type: ignore[method-assign]

    class Receiver:
        def __init__(self, **formats: str) -> None:
            assert formats["color_format"] == "RGBX"
            self.frame_sync = Frame()

        def set_source(self, name: str) -> None:
            library.chosen = name

        def is_connected(self) -> bool:
            return True

        def disconnect(self) -> None:
            library.is_closed = True

    finder = types.SimpleNamespace(
        open=lambda: None, close=lambda: None, get_source_names=lambda: NAMES, get_source=lambda name: name
    )
    return {
        "cyndilib": module(
            "cyndilib",
            Finder=lambda: finder,
            VideoFrameSync=Frame,
            Receiver=Receiver,
            RecvBandwidth=types.SimpleNamespace(highest=1),
            RecvColorFormat=types.SimpleNamespace(RGBX_RGBA="RGBX"),
        )
    }


class SpoutReceiver:
    """The receiver of the stand-in for Spout."""

    seen = 0
    size = (0, 0)
    is_changed = is_new = False

    def __init__(self, library: Library) -> None:
        self.library = library

    def __enter__(self) -> SpoutReceiver:
        return self

    def __exit__(self, *_: object) -> None:
        self.library.is_closed = True

    def getSenderList(self) -> list[str]:  # noqa: N802
        return NAMES

    def setReceiverName(self, name: str) -> None:  # noqa: N802
        self.library.chosen = name

    def receiveImage(self, pixels: np.ndarray | None, code: int, flip: bool, host: int) -> bool:  # noqa: N802
        if not self.library.pictures:
            return False
        self.is_changed = self.library.pictures[-1].shape[:2] != self.size
        self.is_new = not self.is_changed and len(self.library.pictures) > self.seen
        self.size = self.library.pictures[-1].shape[:2]
        if self.is_new and pixels is not None:
            pixels[:] = self.library.pictures[-1]
            self.seen = len(self.library.pictures)
        return True

    def isUpdated(self) -> bool:  # noqa: N802
        return self.is_changed

    def isFrameNew(self) -> bool:  # noqa: N802
        return self.is_new

    def getSenderWidth(self) -> int:  # noqa: N802
        return self.size[1]

    def getSenderHeight(self) -> int:  # noqa: N802
        return self.size[0]


def spout(library: Library) -> dict[str, types.ModuleType]:
    enums = module("SpoutGL.enums", GL_RGBA=6408)
    return {
        "SpoutGL": module("SpoutGL", SpoutReceiver=lambda: SpoutReceiver(library), enums=enums),
        "SpoutGL.enums": enums,
    }


def syphon(library: Library) -> dict[str, types.ModuleType]:
    class Client:
        is_valid = True
        seen = 0

        def __init__(self, server: types.SimpleNamespace) -> None:
            library.chosen = f"{server.app_name} {server.name}"

        @property
        def has_new_frame(self) -> bool:
            return len(library.pictures) > self.seen

        @property
        def new_frame_image(self) -> np.ndarray:
            self.seen = len(library.pictures)
            return library.pictures[-1]

        def stop(self) -> None:
            library.is_closed = True

    servers = [types.SimpleNamespace(app_name=name, name="out") for name in NAMES]
    directory = types.SimpleNamespace(servers=servers)
    return {
        "syphon": module("syphon", SyphonServerDirectory=lambda: directory, SyphonMetalClient=Client),
        "syphon.utils": module("syphon.utils"),
        "syphon.utils.numpy": module("syphon.utils.numpy", copy_mtl_texture_to_image=lambda texture: texture),
        "Foundation": foundation(),
    }


MADE: dict[str, Callable[[Library], dict[str, types.ModuleType]]] = {"ndi": ndi, "spout": spout, "syphon": syphon}


@pytest.fixture(params=list(RECEIVERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def library(name: str, monkeypatch: pytest.MonkeyPatch) -> Library:
    found = Library()
    for dotted, made in MADE[name](found).items():
        monkeypatch.setitem(sys.modules, dotted, made)
    return found


def received(receiver: PictureReceiver) -> np.ndarray | None:
    """Return the next picture; a change of the size may take a call."""
    return next((picture for _ in range(3) if (picture := receiver.receive()) is not None), None)


def test_new_pictures_of_the_source_with_the_name_are_received_once(name: str, library: Library) -> None:
    receiver: PictureReceiver = RECEIVERS.load(name)("camera")
    assert received(receiver) is None
    for size in ((8, 12), (8, 12), (9, 7)):
        picture = library.show(*size)
        found = received(receiver)
        assert found is not None
        assert (found == picture).all()
        assert received(receiver) is None
    assert library.chosen.startswith("Camera")
    receiver.pump()
    receiver.close()
    receiver.close()
    assert library.is_closed


def test_without_a_name_the_first_source_that_is_not_the_sessions_own_is_used(name: str, library: Library) -> None:
    receiver: PictureReceiver = RECEIVERS.load(name)("")
    library.show(8, 12)
    assert received(receiver) is not None
    assert library.chosen.startswith("Mixer")
    nothing: PictureReceiver = RECEIVERS.load(name)("no such program")
    assert received(nothing) is None
    for one in (receiver, nothing):
        one.close()


def test_what_cannot_be_received_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="unknown receiver"):
        check_receiver("camera", allow_network=True)
    with pytest.raises(UsageError, match="--allow-network"):
        check_receiver("ndi:Mixer", allow_network=False)
    monkeypatch.setattr(senders, "find_spec", lambda module: None)
    with pytest.raises(UsageError, match=r"cyndilib is not installed.*vidtrans\[ndi\]"):
        check_receiver("ndi", allow_network=True)
    monkeypatch.setattr(senders, "find_spec", lambda module: module)
    assert check_receiver("ndi:Mixer: 2", allow_network=True) == ("ndi", "Mixer: 2")


class Hub:
    """The part of a hub that a receiver needs: it answers each frame."""

    def __init__(self) -> None:
        self.frames: list[np.ndarray] = []
        self.answer = asyncio.Event()
        self.is_closed = False

    def join(self, *, is_program: bool) -> Hub:
        assert is_program
        return self

    def submit_frame(self, client: Hub, message: Any) -> None:
        self.frames.append(cv2.imdecode(np.frombuffer(message.file, np.uint8), cv2.IMREAD_COLOR))
        self.answer.set()

    async def messages(self) -> list[Any]:
        await self.answer.wait()
        self.answer.clear()
        return []


def test_pictures_reach_the_session_and_a_library_that_fails_is_one_warning_and_is_tried_again() -> None:
    warnings: list[str] = []
    fails = True

    class Receiver(PictureReceiver):
        def receive(self) -> np.ndarray | None:
            if fails:
                raise RuntimeError("the network\nis gone")
            return np.full((16, 24, 3), (200, 100, 50), np.uint8)

        def close(self) -> None:
            pass

    async def session() -> list[np.ndarray]:
        nonlocal fails
        hub: Any = Hub()
        thread = PictureReceiveThread("ndi", Receiver, hub, warnings.append, retry_s=0.01)
        thread.start()
        await asyncio.to_thread(until, lambda: warnings)
        fails = False
        await asyncio.to_thread(until, lambda: len(hub.frames) >= 3)
        await asyncio.to_thread(thread.close)
        frames: list[np.ndarray] = hub.frames
        return frames

    frames = asyncio.run(session())
    assert np.abs(frames[0].astype(int) - (50, 100, 200)).max() <= 4  # In OpenCV's order of colours
    assert ["the network is gone" in warnings[0], "works again" in warnings[1]] == [True, True]
    assert len(warnings) == 2
