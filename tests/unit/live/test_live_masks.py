from __future__ import annotations

import time

import cv2
import numpy as np
import pytest
from live_server import load
from made_models import make_grade
from processes import until

from vidtrans.core.errors import UsageError
from vidtrans.core.files import PACKAGE
from vidtrans.core.mask_files import parse_live_mask
from vidtrans.live.live_controls import Controls, ControlState
from vidtrans.live.live_stage import LiveModel, LiveStage, SourceFrame
from vidtrans.masking.live_masks import LiveFollower, LiveMask
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.session import Context
from vidtrans.temporal.settings import CausalSettings
from vidtrans.video.images.picture import read_picture, resize

pytestmark = pytest.mark.usefixtures("one_thread")


def portrait(shift: int = 0) -> np.ndarray:
    """Return a picture of a person, 180 pixels high, moved to the right."""
    picture = resize(read_picture(PACKAGE / "assets" / "frames" / "astronaut.jpg"), 320, 180)
    return cv2.warpAffine(picture, np.array([[1, 0, shift], [0, 1, 0]], np.float32), (320, 180), borderMode=1)


def nobody() -> np.ndarray:
    return resize(read_picture(PACKAGE / "assets" / "frames" / "coffee.jpg"), 320, 180)


@pytest.fixture
def stage() -> LiveStage:
    (model,) = load(make_grade("dark.cube")).values()
    return LiveStage({"dark": LiveModel(model, RenderingSettings(), Context(device="cpu"))}, CausalSettings())


def state_of(mask: str, **values: object) -> ControlState:
    controls = Controls(**{"model": "dark", "past": "off", "mask": mask, **values})  # type: ignore[arg-type]
    return ControlState(controls)


def paint(stage: LiveStage, frame: np.ndarray, mask: str, *, is_cut: bool = False, **values: object) -> np.ndarray:
    return stage.paint(SourceFrame(frame, is_cut=is_cut), state_of(mask, **values), 0.0).picture


def test_the_look_is_seen_inside_the_mask_as_far_as_its_share_goes(stage: LiveStage) -> None:
    frame = np.full((96, 128, 3), 40, np.uint8)
    frame[:, 64:] = 200
    everywhere = paint(stage, frame, "")
    dark, bright = slice(0, 48), slice(80, 128)
    for mask, inside, outside in (
        ("luma:0.5..1", bright, dark),
        ("not luma", dark, bright),
        ("colour:#c8c8c8", bright, dark),
    ):
        masked = paint(stage, frame, mask)
        assert np.abs(masked[:, inside].astype(int) - everywhere[:, inside]).max() <= 1
        assert np.abs(masked[:, outside].astype(int) - frame[:, outside]).max() <= 1
    half = paint(stage, frame, "luma", mask_share=0.5)[:, :48].astype(float)
    assert np.abs(half - (frame[:, :48] / 2 + everywhere[:, :48] / 2)).max() <= 1.5
    assert np.array_equal(paint(stage, frame, "luma", mask_share=0.0), everywhere)
    drawing = SourceFrame(frame, is_drawing=True)
    assert np.array_equal(stage.paint(drawing, state_of("luma"), 0.0).picture, everywhere)


def test_what_stands_before_a_screen_is_found_once_the_screen_is_seen() -> None:
    frame = np.full((96, 128, 3), (20, 180, 60), np.uint8)
    frame[30:66, 40:88] = (190, 60, 60)
    mask = LiveMask.of("key")
    assert mask is not None
    mask.follow(np.full_like(frame, 90))
    assert mask.matte(np.full_like(frame, 90)).min() == 1
    mask.follow(frame)
    matte = mask.matte(frame)
    assert matte[:20].max() < 0.05
    assert matte[40:56, 50:78].min() > 0.95


def test_a_person_is_painted_and_followed_without_another_search(stage: LiveStage) -> None:
    for shift in range(0, 24, 4):
        frame = portrait(shift)
        everywhere, masked = paint(stage, frame, ""), paint(stage, frame, "person", is_cut=shift == 0)
        painted, changed = (cv2.absdiff(picture, frame).astype(float) for picture in (everywhere, masked))
        assert 0.2 < (changed / np.maximum(painted, 1)).mean() < 0.8
    mirrored = paint(stage, portrait(20), "person", mirror=True)
    others = paint(stage, portrait(20), "not person", mirror=True)
    both = mirrored.astype(int) + others
    whole = paint(stage, portrait(20), "", mirror=True).astype(int) + cv2.flip(portrait(20), 1)
    assert np.abs(both - whole).mean() < 1.5


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["person", "face"])
def test_who_comes_later_is_found_while_frames_go_on_and_who_leaves_is_forgotten(kind: str) -> None:
    follower = LiveFollower(kind)
    follower.follow(nobody(), starts_shot=True)
    assert not follower.matte.any()
    longest = 0.0

    def arrives() -> bool:
        nonlocal longest
        began = time.thread_time()
        follower.follow(portrait(), starts_shot=False)
        longest = max(longest, time.thread_time() - began)
        return bool(follower.matte.any())

    until(arrives)
    began = time.thread_time()
    LiveFollower(kind).follow(portrait(), starts_shot=True)
    assert longest < (time.thread_time() - began) / 2  # The search is no frame's work
    for _ in range(20):
        follower.follow(nobody(), starts_shot=False)
    assert not follower.matte.any()


def test_a_frame_that_is_painted_again_keeps_its_mask(stage: LiveStage, monkeypatch: pytest.MonkeyPatch) -> None:
    followed = []
    monkeypatch.setattr(LiveMask, "follow", lambda self, frame, **_: followed.append(frame))
    frame = portrait()
    for strength in (1.0, 0.5):
        paint(stage, frame, "luma", strength=strength)
    assert len(followed) == 1
    paint(stage, frame.copy(), "luma")
    paint(stage, frame, "not luma")
    assert len(followed) == 3


@pytest.mark.parametrize(
    ("mask", "why"),
    [("man.mkv", "no live source"), ("persn", "'person'"), ("key:#ff0000", "green"), ("luma:2..3", "0 to 1")],
)
def test_a_mask_that_is_not_found_in_pictures_is_refused(mask: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        ControlState().with_values({"model": "", "mask": mask}, {})
    assert "\n" not in str(caught.value)
    assert parse_live_mask(" ") == ()
