from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from clips import moving_frames
from live_server import flat, load, png, until

from vidtrans.core.errors import DeviceError, UsageError
from vidtrans.live.live_controls import Controls, ControlState
from vidtrans.live.live_stage import Fader, LiveModel, LiveStage, SourceFrame, StagePicture
from vidtrans.live.protocol import FrameMessage
from vidtrans.live.stage_worker import MIN_RETRY_S, PaintJob, StageWorker, WorkerListener
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.session import Context
from vidtrans.strokes.media import load_medium
from vidtrans.strokes.painter import StrokePainter
from vidtrans.strokes.settings import CURVES, StrokesSettings
from vidtrans.temporal.settings import CausalSettings

pytestmark = pytest.mark.usefixtures("one_thread")
FRAMES = [frame.copy() for frame in moving_frames(6)]


def stage_of(models: Mapping[str, LoadedModel]) -> LiveStage:
    made = {name: LiveModel(model, RenderingSettings(), Context(device="cpu")) for name, model in models.items()}
    return LiveStage(made, CausalSettings())


def state_of(**values: object) -> ControlState:
    return ControlState(Controls(**{"model": "identity", "past": "off", **values}))  # type: ignore[arg-type]


@pytest.fixture
def identity() -> LiveStage:
    return stage_of(load("identity"))


def test_strokes_are_carried_along_until_a_cut() -> None:
    (model,) = load("identity").values()
    settings, painter = StrokesSettings("oil"), StrokePainter(load_medium("oil"), StrokesSettings("oil"), (64, 48))
    stage = LiveStage({"identity": LiveModel(model, RenderingSettings(), Context(), settings)}, CausalSettings())
    for number, frame in enumerate(FRAMES[:4]):
        is_cut = number in (0, 2)
        painted = stage.paint(SourceFrame(frame, is_cut=is_cut), state_of(), 0.0).picture
        wanted = painter.paint(number, frame, frame, dict.fromkeys(CURVES, 1.0), starts_shot=is_cut)
        assert np.array_equal(painted, wanted)
    for wrong in (StrokesSettings("oil", size="0: 1, 5s: 2"), StrokesSettings("oil", fine="a.png")):
        with pytest.raises(UsageError, match="a live source"):
            LiveModel(model, RenderingSettings(), Context(), wrong)


def test_size_sets_the_short_side_within_bounds_and_never_enlarges(identity: LiveStage) -> None:
    small = identity.paint(SourceFrame(FRAMES[0]), state_of(size=32, upscale="off"), 0.0)
    assert small.picture.shape == small.model_input.shape == (32, 43, 3)
    assert identity.paint(SourceFrame(FRAMES[0]), state_of(size=512), 0.0).picture.shape == FRAMES[0].shape
    assert min(identity.paint(SourceFrame(flat(9, (3000, 2000))), state_of(), 0.0).picture.shape[:2]) == 1024


def test_pictures_have_the_size_of_the_source_up_to_a_limit(identity: LiveStage) -> None:
    for controls, source, delivered in (
        ({}, (400, 300), (400, 300)),
        ({}, (1280, 720), (853, 480)),
        ({"output_size": 720}, (1280, 720), (1280, 720)),
        ({"output_size": 720}, (300, 400), (300, 400)),
        ({"output_size": 100}, (400, 300), (133, 100)),
        ({"output_size": 40}, (400, 300), (85, 64)),  # never smaller than painted
        ({"upscale": "off"}, (400, 300), (85, 64)),
    ):
        state = state_of(size=64, **controls)
        picture = identity.paint(SourceFrame(flat(9, source)), state, 0.0).picture
        assert picture.shape == (*delivered[::-1], 3)


def test_lerp_mixes_with_the_picture_that_was_shown_until_a_cut(identity: LiveStage) -> None:
    state = state_of(past="lerp", lerp=0.5)
    shown = [int(identity.paint(SourceFrame(flat(v)), state, 0.0).picture[0, 0, 0]) for v in (0, 100, 100)]
    assert shown == [0, 50, 75]
    assert (identity.paint(SourceFrame(flat(200), is_cut=True), state, 0.0).picture == 200).all()


class TestModels:
    def test_a_model_of_edges_paints_photographs_and_drawings(self) -> None:
        stage = stage_of(load("flower"))
        line = np.full((128, 128, 3), 255, np.uint8)
        line[60:66, 20:110] = 0
        photograph = stage.paint(SourceFrame(FRAMES[0]), state_of(model="flower", size=48), 0.0)
        drawing = stage.paint(SourceFrame(line, is_drawing=True), state_of(model="flower", size=128), 0.0)
        assert photograph.picture.shape == FRAMES[0].shape
        # The stroke itself is the line; of a photograph of it both sides would be.
        columns = (drawing.model_input[:, 64, 0] == 255).sum()
        assert columns == 1

    def test_a_cross_fade_lies_between_the_two_and_strength_blends_with_the_source(self) -> None:
        stage = stage_of(load("flower", "identity"))
        states = [state_of(model="flower", size=48, second="identity", crossfade=x, fade=0.0) for x in (0, 0.5, 1)]
        states.append(state_of(model="flower", size=48, strength=0.0))
        pictures = [stage.paint(SourceFrame(FRAMES[0], is_cut=True), s, 9.0 * n).picture for n, s in enumerate(states)]
        one, both, other = (picture.astype(float) for picture in pictures[:3])
        assert np.abs(both - (one + other) / 2).max() <= 1
        assert np.abs(one - other).mean() > 5
        assert np.array_equal(pictures[3], FRAMES[0])


def test_another_model_comes_in_over_its_time() -> None:
    fader = Fader()
    assert fader.weights(Controls("a", fade=2.0), 10.0) == {"a": 1.0}
    moments = (20.0, 20.5, 21.0, 22.0, 30.0)
    shares = [(fader.weights(Controls("b", fade=2.0), now), fader.is_fading) for now in moments]
    both = [({"a": 1.0}, True), ({"b": 0.25, "a": 0.75}, True), ({"b": 0.5, "a": 0.5}, True)]
    assert shares == [*both, ({"b": 1.0}, False), ({"b": 1.0}, False)]


def test_causal_takes_out_flicker_that_the_source_has_not() -> None:
    """A model that flickers on a still: the filter keeps the picture still."""
    rng = np.random.default_rng(1)
    still = FRAMES[0]
    stage, spread = stage_of(load("identity")), {}
    for past in ("off", "causal"):
        shown = []
        for _ in range(8):
            noisy = np.clip(still + rng.normal(0, 12, (1, 1, 1)), 0, 255).astype(np.uint8)
            picture = stage._blend_past(noisy, still, SourceFrame(still), state_of(past=past).controls)
            shown.append(picture.mean())
        spread[past] = np.std(shown[3:])
    assert spread["causal"] < 0.5 * spread["off"]


def paint(frame: SourceFrame, state: ControlState, now: float) -> StagePicture:
    """Ten levels brighter."""
    return StagePicture(frame.rgb + np.uint8(10 * state.controls.strength), frame.rgb)


def job(number: int) -> PaintJob:
    return PaintJob(FrameMessage("picture", number, 0.0, png(flat(number))))


def levels(heard: Mock) -> list[int]:
    return [int(call.args[0].picture[0, 0, 0]) for call in heard.on_painted.mock_calls]


@contextmanager
def working(open_stage: Any) -> Iterator[tuple[StageWorker, Mock]]:
    worker = StageWorker(open_stage, Mock(), ControlState(Controls("m")), heard := Mock(WorkerListener))
    worker.start()
    try:
        yield worker, heard
    finally:
        worker.close()
        assert not worker._thread.is_alive()


def test_a_frozen_source_keeps_its_frame_and_obeys_the_controls() -> None:
    easel = Mock(paint=paint, show=lambda picture, controls: picture, is_changing=False)
    with working(lambda: easel) as (worker, heard):
        worker.submit(job(1))
        until(lambda: len(levels(heard)) == 1)
        worker.set_controls(ControlState(Controls("m", freeze=True)))
        until(lambda: len(levels(heard)) == 2)
        worker.submit(job(2))
        until(lambda: heard.on_dropped.called)
        worker.set_controls(ControlState(Controls("m", freeze=True, strength=2.0)))
        until(lambda: len(levels(heard)) == 3)
        worker.set_controls(ControlState(Controls("m")))
        worker.submit(job(3))
        until(lambda: 13 in levels(heard))
    assert levels(heard)[:3] == [11, 11, 21]
    assert [call.args[0].message.sequence for call in heard.on_dropped.mock_calls] == [2]


def test_models_are_loaded_again_by_themselves_after_longer_and_longer_waits() -> None:
    """And the drawing that was there is painted, without another stroke."""
    lost = Mock(paint=Mock(side_effect=RuntimeError("lost")), is_changing=False)
    easel = Mock(paint=paint, show=lambda picture, controls: picture, is_changing=False)
    absent = DeviceError("cuda", "none here")
    with working(Mock(side_effect=[lost, absent, absent, easel])) as (worker, heard):
        worker._retry_s = 0.05
        worker.submit(job(1))
        until(lambda: heard.on_painted.called)
        assert worker._retry_s == MIN_RETRY_S
    assert levels(heard) == [11]
    assert heard.on_failed.call_count == 3
