from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from live_server import flat, png, until

from vidtrans.core.errors import DeviceError, UsageError, VidtransError
from vidtrans.live.live_controls import Controls, ControlState
from vidtrans.live.live_model import SourceFrame
from vidtrans.live.live_stage import StagePicture
from vidtrans.live.paint_jobs import Answers, Painted, PaintJob
from vidtrans.live.protocol import FrameMessage
from vidtrans.live.stage_worker import FIRST_RETRY_S, StageWorker


class Heard(Answers):
    """Writes down what the worker says."""

    def __init__(self) -> None:
        self.pictures: list[Painted] = []
        self.lost: list[tuple[int, str]] = []
        self.problems: list[tuple[str, str]] = []

    def painted(self, painted: Painted) -> None:
        self.pictures.append(painted)

    def dropped(self, job: PaintJob, problem: VidtransError | None = None) -> None:
        self.lost.append((job.message.sequence, str(problem or "")))

    def failed(self, problem: str, detail: str = "", *, ends_dream: bool = False) -> None:
        self.problems.append((problem, detail))

    @property
    def levels(self) -> list[int]:
        return [int(p.picture[0, 0, 0]) for p in self.pictures]


class Easel:
    """A stage that paints ten levels brighter, when it may; ``troubles`` are raised first, one each time."""

    def __init__(self) -> None:
        self.may_paint = threading.Event()
        self.may_paint.set()
        self.is_painting = threading.Event()
        self.troubles: list[Exception] = []
        self.closed: list[Exception] = []  # raised where it is opened another time
        self.is_changing = False
        self.frames: list[SourceFrame] = []
        self.opened = 0

    def open(self) -> Any:
        if self.opened and self.closed:
            raise self.closed.pop(0)
        self.opened += 1
        return self

    def paint(self, frame: SourceFrame, state: ControlState, now: float) -> StagePicture:
        self.is_painting.set()
        assert self.may_paint.wait(30)
        self.frames.append(frame)
        if self.troubles:
            raise self.troubles.pop(0)
        return StagePicture(frame.rgb + np.uint8(10 * state.controls.strength), frame.rgb)

    def show(self, picture: np.ndarray, controls: Controls) -> np.ndarray:
        return picture


def job(number: int, **options: Any) -> PaintJob:
    return PaintJob(FrameMessage("picture", number, 0.0, png(flat(number))), **options)


@contextmanager
def working(easel: Easel) -> Iterator[tuple[StageWorker, Heard]]:
    heard = Heard()
    state = ControlState(Controls("m", dream_fps=60.0))
    worker = StageWorker(easel.open, lambda state, seed: None, state, heard)  # type: ignore[arg-type, return-value]
    worker.start()
    try:
        yield worker, heard
    finally:
        easel.may_paint.set()
        worker.close()
        assert not worker._thread.is_alive()


def test_the_newest_frame_wins_and_each_other_one_is_acknowledged() -> None:
    easel = Easel()
    easel.may_paint.clear()
    with working(easel) as (worker, heard):
        worker.submit(job(1))
        easel.is_painting.wait(30)
        for number in (2, 3, 4):
            worker.submit(job(number))
        easel.may_paint.set()
        until(lambda: len(heard.pictures) == 2)
    assert heard.levels == [11, 14]
    assert heard.lost == [(2, ""), (3, "")]


def test_a_cut_is_one_frame_long_and_not_lost_with_its_frame() -> None:
    easel = Easel()
    with working(easel) as (worker, heard):
        worker.submit(job(1, is_cut=True))
        until(lambda: len(heard.pictures) == 1)
        worker.change(ControlState(Controls("m")))
        until(lambda: len(heard.pictures) == 2)
        easel.may_paint.clear()
        easel.is_painting.clear()
        worker.submit(job(2))
        easel.is_painting.wait(30)
        worker.submit(job(3, is_cut=True))
        worker.submit(job(4))
        easel.may_paint.set()
        until(lambda: len(heard.pictures) == 4)
        worker.submit(PaintJob(FrameMessage("picture", 5, 0.0, b"junk"), is_cut=True))
        until(lambda: len(heard.lost) == 2)
        worker.submit(job(6))
        until(lambda: len(heard.pictures) == 5)
    assert [frame.is_cut for frame in easel.frames] == [True, False, False, True, True]


def test_a_frame_that_cannot_be_painted_is_given_back_with_the_reason() -> None:
    easel = Easel()
    easel.troubles = [UsageError("a"), DeviceError("a", "out of memory")]
    with working(easel) as (worker, heard):
        for sequence, file in enumerate((png(flat(1)), png(flat(2)), b"junk")):
            worker.submit(PaintJob(FrameMessage("picture", sequence, 0.0, file)))
            until(lambda n=sequence: len(heard.lost) == n + 1)
        worker.submit(job(3))
        until(lambda: heard.pictures)
    assert heard.lost[:2] == [(0, "a"), (1, "a: out of memory")]
    assert heard.lost[2][0] == 2
    assert "not a JPEG" in heard.lost[2][1]
    assert heard.levels == [13]
    assert easel.opened == 1


def test_models_are_loaded_again_by_themselves_after_longer_and_longer_waits() -> None:
    easel = Easel()
    easel.troubles = [RuntimeError("lost")]
    easel.closed = [DeviceError("cuda", "none here"), DeviceError("cuda", "none here")]
    with working(easel) as (worker, heard):
        worker._retry_s = 0.05
        worker.submit(job(1))
        until(lambda: heard.pictures)
        assert worker._retry_s == FIRST_RETRY_S
    assert heard.levels == [11]
    assert easel.opened == 2
    assert len(heard.problems) == 3
