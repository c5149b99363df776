"""Programs follow and stop the work on their frames: events, a token, and what is left behind."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from clips import moving_frames, write_clip

import vidtrans
from vidtrans.core import errors, events

SIZE = (64, 48)


@pytest.fixture(autouse=True)
def clip() -> None:
    write_clip(Path("c.mkv"), moving_frames(12, SIZE), codec="ffv1", pix_fmt="bgr0")


def stopped_at(done: int, stop: vidtrans.Stop) -> Callable[[vidtrans.Event], None]:
    """Return a callback that stops a job from another thread after ``done`` of its units."""

    def report(event: vidtrans.Event) -> None:
        if isinstance(event, vidtrans.Progress) and event.done == done:
            thread = Thread(target=stop.request)
            thread.start()
            thread.join()

    return report


def test_reading_a_clip_is_reported_and_stopped() -> None:
    stop = vidtrans.Stop()
    with pytest.raises(vidtrans.Interrupted, match=r"c\.mkv was not read") as error:
        vidtrans.open_clip("c.mkv", report=stopped_at(4, stop), stop=stop)
    assert (error.value.exit_status, stop.exit_status) == (130, 130)
    assert len(vidtrans.open_clip("c.mkv")) == 12


def test_filters_stop() -> None:
    opened, stop = vidtrans.open_clip("c.mkv"), vidtrans.Stop()
    stop.request()
    for frames in (
        vidtrans.Deflicker([frame.rgb for frame in opened], stop=stop),
        vidtrans.Deflicker(opened, stop=stop),
        vidtrans.Propagator(opened, {2: opened[2].rgb}, minutes=0, stop=stop),
    ):
        with pytest.raises(vidtrans.Interrupted):
            list(frames)


def test_renders_and_filters_stop_and_the_model_goes_on() -> None:
    model, opened, begun = vidtrans.load_model("identity"), vidtrans.open_clip("c.mkv"), vidtrans.Stop()
    stream = [frame.rgb for frame in opened]
    begun.request()
    for frames in (opened, stream):
        stop = vidtrans.Stop()
        made = model.render(frames, temporal="off", stop=stop)
        next(made)
        stop.request(143)
        with pytest.raises(vidtrans.Interrupted, match="no further pictures") as error:
            list(made)
        assert error.value.exit_status == 143
        assert len(list(model.render(frames))) == 12
        with pytest.raises(vidtrans.Interrupted):
            list(vidtrans.Deflicker(frames, stop=begun))
    with pytest.raises(vidtrans.Interrupted):
        list(vidtrans.Propagator(opened, {2: stream[2]}, minutes=0, stop=begun))


def test_a_stopped_clip_is_not_half_written() -> None:
    opened, stop = vidtrans.open_clip("c.mkv"), vidtrans.Stop()

    def frames() -> Iterator[np.ndarray]:
        for frame in opened:
            yield frame.rgb
            if frame.index == 6:
                stop.request()

    before = sorted(Path().iterdir())
    with pytest.raises(vidtrans.Interrupted, match=r"made\.mp4 is not written"):
        vidtrans.write_clip(frames(), "made.mp4", like=opened, stop=stop)
    assert sorted(Path().iterdir()) == before
    Path("made.mp4").write_text("earlier")
    with pytest.raises(vidtrans.Interrupted):
        vidtrans.write_clip(frames(), "made.mp4", overwrite=True, like=opened, stop=stop)
    assert Path("made.mp4").read_text() == "earlier"


def test_all_events_and_errors_are_public() -> None:
    made = [cls for cls in vars(errors).values() if inspect.isclass(cls) and issubclass(cls, Exception)]
    for cls in (*made, events.Stop, *events.Event.__args__):
        assert getattr(vidtrans, cls.__name__) is cls
    assert (vidtrans.Event, vidtrans.Report) == (events.Event, events.Report)
