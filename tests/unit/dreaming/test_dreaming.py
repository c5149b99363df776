"""The parts of a dream: camera, governor, clock and loop, its view, its state, its pointer, scripts and actions."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import moving_frames, scene
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vidtrans.core.errors import ModelError, UsageError
from vidtrans.data.clip_memory import ClipMemory
from vidtrans.data.moving_windows import moved_view
from vidtrans.dreaming.dream_job import enlarge_opencv, enlarge_torch
from vidtrans.dreaming.dream_planning import DreamControls
from vidtrans.dreaming.drift_correction import (
    DriftCorrector,
    FrameStatistics,
    frame_statistics,
    measure_statistics,
)
from vidtrans.dreaming.pointer import CHECK_INTERVAL, MIN_JUMP_INTERVAL, PULL, Pointer, PointerState
from vidtrans.dreaming.rollout import (
    IDENTITY,
    RETURN_FRAMES,
    CameraMove,
    ClipView,
    Loop,
    Rollout,
    RolloutControls,
    RolloutModel,
    transform,
)
from vidtrans.dreaming.sequencer import Morph, Origin, TrainingClip, cluster_actions, read_action_table
from vidtrans.dreaming.settings import DreamingSettings
from vidtrans.dreaming.steering import ANIMATED, PAN, TURN, ZOOM, parse_steering
from vidtrans.inference.device import CPU
from vidtrans.networks.init import build_generator, initialise
from vidtrans.pairing.next_frame import CHANNELS, ClipConditions

repeatable = settings(max_examples=12)


def smooth(width: int = 48, height: int = 36, seed: int = 0) -> Tensor:
    """(3, H, W) in [-1, 1], softer than what a resampling loses."""
    picture = scene(width, height, seed).astype(np.float32) / 127.5 - 1
    return torch.from_numpy(0.8 * picture.transpose(2, 0, 1).copy())


class Follow:
    """An engine that returns the newest frame, and remembers what it was shown."""

    identity = {"engine": "follow"}  # noqa: RUF012
    device_kind, precision = "cpu", ""
    place = torch.device("cpu")

    def __init__(self, pictures: int = 1, change: float = 0.0) -> None:
        self.shown: list[Tensor] = []
        self.pictures, self.change = pictures, change

    def predict(self, shown: Tensor) -> Tensor:
        self.shown.append(shown)
        return shown[:, 3 * self.pictures - 3 : 3 * self.pictures] + self.change


def network(seed: int, in_channels: int = 3) -> torch.nn.Module:
    made = build_generator("unet-small", {"channels": 8, "blocks": [0, 0, 0]}, in_channels)
    initialise(made, seed)
    return made.eval()


def still(frame: int) -> CameraMove:
    return CameraMove()


def plainly(frame: int) -> float:
    return 1.0


def test_what_is_seen_moves_as_the_names_say() -> None:
    picture = torch.full((3, 41, 61), -1.0)
    picture[:, 19:22, 44:47] = 1.0  # right of the centre, at (45, 20)
    for move, wanted in (
        (CameraMove(zoom=1.5), (52, 20)),
        (CameraMove(rotate=90), (30, 5)),  # anticlockwise: up
        (CameraMove(pan_x=0.1), (51, 20)),
        (CameraMove(pan_y=0.2), (45, 28)),
        (CameraMove(zoom=0.9, rotate=180), (16, 20)),
    ):
        bright = transform(picture, move.view(61, 41), IDENTITY)[0]
        row, column = divmod(int(bright.flatten().argmax()), 61)
        assert np.abs(np.subtract((column, row), wanted)).max() <= 1, move


def test_the_camera_moves_all_that_is_held_and_each_picture_from_its_raw_form() -> None:
    engine = Follow(pictures=2)
    seed = [smooth(seed=1).numpy(), smooth(seed=2).numpy()]
    move = CameraMove(zoom=1.1, hue=20)
    dream = Rollout(seed, lambda n: RolloutModel(engine, 2), RolloutControls(lambda n: move, plainly))
    dream.step(), dream.step()
    view, colours = move.view(48, 36), move.colours()
    first, second = engine.shown
    for at, picture in enumerate(seed):
        assert torch.equal(first[0, 3 * at : 3 * at + 3], transform(torch.from_numpy(picture), view, colours))
    assert torch.equal(second[0, :3], transform(torch.from_numpy(seed[1]), view @ view, colours @ colours))
    assert torch.equal(second[0, 3:], transform(first[0, 3:], view, colours))


def test_the_clock_goes_on_by_step_and_speed_and_says_where_the_frame_will_be() -> None:
    engine = Follow()
    player = RolloutModel(engine, 1, step=2, positions=40)
    dream = Rollout([smooth().numpy()], lambda n: player, RolloutControls(still, lambda n: 0.5 * n), phase=0.25)
    for _ in range(4):
        dream.step()
    phases = np.cumsum([0.25, 0.025, 0.05, 0.075])
    for shown, phase in zip(engine.shown, phases, strict=True):
        planes = shown[0, 3:]
        assert planes.shape[0] == CHANNELS
        assert torch.equal(planes[:, 0, 0], planes[:, -1, -1])
        assert np.allclose(planes[:, 0, 0], ClipConditions(phase).values(), atol=1e-6)


@repeatable
@given(st.floats(0, 1), st.integers(1, 5))
def test_a_driving_video_is_mixed_into_what_is_fed_back_and_not_into_what_is_shown(amount: float, steps: int) -> None:
    engine = Follow()
    drive = lambda n: np.full((3, 8, 8), 0.5, np.float32)  # noqa: E731
    score = RolloutControls(still, plainly, amount=lambda n: amount, drive=drive)
    dream = Rollout([np.zeros((3, 8, 8), np.float32)], lambda n: RolloutModel(engine, 1), score)
    shown = [float(dream.step().mean()) for _ in range(steps)]
    assert shown == pytest.approx([0.5 * (1 - (1 - amount) ** n) for n in range(steps)], abs=1e-5)


@repeatable
@given(st.integers(1, 500), st.floats(-8, 8).filter(lambda s: abs(s) > 1e-3), st.integers(1, 4), st.integers(2, 300))
def test_a_loop_goes_round_whole_times_at_the_nearest_speed(frames: int, speed: float, step: int, places: int) -> None:
    loop = Loop.nearest(frames, speed, step, places)
    turns = frames * loop.speed * step / places
    assert turns == pytest.approx(loop.rounds)
    assert loop.rounds != 0
    assert (loop.rounds > 0) == (speed > 0)
    wanted = frames * speed * step / places
    assert abs(loop.rounds - wanted) <= 0.5 + 1e-9 or abs(wanted) < 1
    assert 0 <= loop.fade <= min(frames // 4, loop.run_in)
    shares = [loop.share(n) for n in range(frames)]
    assert shares == sorted(shares)
    assert all(0 <= s < 1 for s in shares)
    assert sum(s > 0 for s in shares) == loop.fade


FRAMES = moving_frames(12, size=(40, 32))
BANK = frame_statistics(FRAMES)


def as_tensor(frame: np.ndarray) -> Tensor:
    return torch.from_numpy(frame).permute(2, 0, 1).to(torch.float32) / 127.5 - 1


def test_what_was_seen_in_training_is_left_as_it_is() -> None:
    for picture in map(as_tensor, FRAMES):
        made, strayed = DriftCorrector(FrameStatistics.of(BANK), 1.0)(picture)
        assert made is picture
        assert not strayed


@repeatable
@given(st.floats(-0.6, 0.6), st.floats(0.6, 1.6), st.integers(0, 11))
def test_what_drifted_comes_back_into_the_band(shift: float, gain: float, number: int) -> None:
    bank = FrameStatistics.of(BANK)
    picture = (as_tensor(FRAMES[number]) * gain + shift).clamp(-1, 1)

    def outside(p):
        return np.maximum(0, np.maximum(bank.low - measure_statistics(p), measure_statistics(p) - bank.high))[:-1]

    made = picture
    for _ in range(3):  # fed back it is governed again
        made, _ = DriftCorrector(bank, 1.0)(made)
    assert outside(made).max() <= max(0.03, 0.2 * outside(picture).max())
    half, _ = DriftCorrector(bank, 0.5)(picture)
    whole, _ = DriftCorrector(bank, 1.0)(picture)
    inside = (whole.abs() < 0.95) & (half.abs() < 0.95)  # else it was cut off
    assert torch.allclose(half[inside], ((picture + whole) / 2)[inside], atol=1e-5)


def test_where_the_camera_carries_things_away_places_and_hues_count_no_more() -> None:
    bank, picture = FrameStatistics.of(BANK), as_tensor(FRAMES[0])
    upside_down, turned = picture.flip(1), picture[[1, 2, 0]]
    for changed, widened in (
        (upside_down, bank.widened(places=True, channels=False)),
        (turned, bank.widened(places=False, channels=True)),
    ):
        assert not torch.equal(DriftCorrector(bank, 1.0)(changed)[0], changed)
        assert DriftCorrector(widened, 1.0)(changed)[0] is changed


def test_a_damaged_bank_is_no_bank() -> None:
    low = BANK["mean"]["low"]
    for damaged in (
        {name: value for name, value in BANK.items() if name != "cells"},
        BANK | {"mean": {"high": BANK["mean"]["high"]}},
        BANK | {"mean": BANK["mean"] | {"low": [*low, 0.0]}},
        BANK | {"mean": BANK["mean"] | {"low": [9.0, 9.0, 9.0]}},
        BANK | {"deviation": BANK["deviation"] | {"low": "wide"}},
    ):
        with pytest.raises(ModelError, match="statistics"):
            FrameStatistics.of(damaged)


def test_between_two_models_weights_are_mixed_before_norms_are_folded() -> None:
    made = [network(0), network(1)]
    for module in made[1].modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.fill_(0.1), module.running_var.fill_(2)  # type: ignore[operator]
    morph = Morph(lambda n: made[n], CPU, "fp32")
    shown, wanted = smooth(32, 32)[None], network(2)
    first, second = (m.state_dict() for m in made)
    for share in (0.0, 0.25, 1.0):
        mixed = {k: torch.lerp(v, second[k], share) if v.is_floating_point() else v for k, v in first.items()}
        wanted.load_state_dict(mixed)
        with torch.inference_mode():
            expected = wanted(shown)
        assert torch.allclose(morph.at(0, share).predict(shown), expected, atol=1e-5)
    assert morph.at(0, 1.0) is morph.at(0, 1.0)


HALF = np.diag([0.5, 0.5, 1.0])


@given(st.floats(0.25, 4.0), st.floats(-30, 30), st.floats(-1, 1), st.integers(1, 300))
@settings(max_examples=25)
def test_it_can_always_be_inverted(zoom: float, turn: float, shift: float, frames: int) -> None:
    view = ClipView(HALF, HALF)
    for _ in range(frames):
        view = view.moved(moved_view(zoom, turn, shift, -shift))
        assert 0 <= view.share <= 1
    assert np.isfinite(np.linalg.inv(view.matrix)).all()


def test_an_endless_zoom_sees_less_and_less_of_the_clip_and_begins_again() -> None:
    view, shares, numbers = ClipView(HALF, HALF), [], []
    for number in range(400):
        view = view.moved(moved_view(1.02, 0, 0, 0))
        shares.append(view.share)
        if view.since == 0:
            numbers.append(number)
    assert shares[:50] == [1.0] * 50
    assert len(numbers) >= 3
    assert shares[numbers[0]] == 0
    assert shares[numbers[0] - 1] < 0.05
    assert max(shares[numbers[0] : numbers[0] + RETURN_FRAMES + 2]) == 1.0


def test_devices_agree() -> None:
    frame = torch.rand(3, 24, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    one, other = (enlarge(frame, (83, 61), "faithful") for enlarge in (enlarge_opencv, enlarge_torch))
    assert one.shape == other.shape == (3, 61, 83)
    assert (one - other).abs().max() < 1e-4


def frame(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1) / 127.5 - 1


def pointer(length: int = 120, runs: tuple[int, ...] | None = None, seed: int = 0) -> Pointer:
    """Of a clip whose every half is like the other."""
    half = moving_frames(length // 2)
    return Pointer(ClipMemory(np.stack([*half, *half]), runs or (length,)), seed)


def walk(points: Pointer, count: int, wander: float = 0.0, begin: int = 5) -> list[int]:
    pictures = points.memory.pictures
    at, places = points.find([frame(pictures[begin - 1]), frame(pictures[begin])]), []
    for number in range(count):
        places.append(at.place)
        frames = [frame(pictures[at.place]), frame(pictures[at.place + 1])]
        at = points.advance(at, frames, number, wander)
    return places


def test_it_begins_where_the_frames_are_most_alike_and_goes_on_by_a_frame() -> None:
    places = walk(pointer(), 40)
    assert places[0] in (5, 65)
    assert set(np.diff(places)) == {1}


def test_at_the_end_of_a_run_it_jumps_to_what_is_alike_and_far_from_there() -> None:
    points = pointer(runs=(60, 60))
    places = walk(points, 200)
    jumps = [(a, b) for a, b in pairwise(places) if b != a + 1]
    assert len(jumps) >= 2
    assert all(abs(a - b) >= 28 for a, b in jumps)
    assert {a for a, _ in jumps} <= {57, 58, 117, 118}


def test_the_more_it_wanders_the_sooner_it_leaves_the_order_and_never_at_once() -> None:
    points = pointer()
    jumps = [int((np.diff(walk(points, 100, wander)) != 1).sum()) for wander in (0.0, 0.3, 1.0)]
    assert jumps[0] <= 1
    assert jumps[0] < jumps[1] < jumps[2]
    leaps = np.flatnonzero(np.diff(walk(points, 100, 1.0)) != 1)
    assert np.diff(leaps).min() >= MIN_JUMP_INTERVAL


def test_a_dream_that_is_elsewhere_is_followed() -> None:
    points = Pointer(ClipMemory(np.stack([scene(40, 32, seed=n // 20) for n in range(100)]), (100,)), 0)
    pictures = points.memory.pictures
    at = points.advance(
        PointerState(5, MIN_JUMP_INTERVAL, CHECK_INTERVAL - 1),
        [frame(pictures[89]), frame(pictures[90])],
        0,
        0.0,
    )
    assert 80 <= at.place < 100


def test_a_picture_is_pulled_to_the_colours_of_the_next_frame_and_keeps_its_detail() -> None:
    points = pointer()
    at = PointerState(20)
    aim = frame(points.memory.pictures[21])
    other = torch.zeros_like(aim)
    other[:, ::2, ::2] = 0.4
    pull = points.pull(other, at, 1.0)
    assert torch.equal(points.pull(other, at, 0.0), other)
    assert float((pull - other).mean()) == pytest.approx(PULL * float((aim - other).mean()), abs=0.01)
    fine = lambda x: (x[:, 8:-8:2, 8:-8:2] - x[:, 9:-7:2, 9:-7:2]).mean()  # noqa: E731
    assert float(fine(pull)) == pytest.approx(0.4, abs=0.05)


def memory(**named: frozenset[int]) -> ClipMemory:
    """Two shots of 30 frames; frame 20 of the first is frame 8 of the second, and the same are those around it."""
    first = np.stack(moving_frames(30))
    second = np.roll(np.stack(moving_frames(60))[30:], 9, axis=2)[..., ::-1].copy()
    second[6:11] = first[18:23]
    return ClipMemory(np.concatenate([first, second]), (30, 30), 1, (1, 2), actions=named)


def steer(pointer: Pointer, goal: int | str, begin: int, count: int = 60) -> list[int]:
    at, places = PointerState(begin), []
    frames = [torch.zeros((3, 48, 64))] * 2
    for number in range(count):
        at = pointer.advance(at, frames, number, 0.0, goal=goal)
        places.append(at.place)
    return places


@pytest.mark.parametrize("begin", [1, 15, 27, 28])
def test_it_arrives_from_anywhere_and_stays(begin: int) -> None:
    assert all(place < 30 for place in steer(Pointer(memory(), 0), 1, begin)[5:])
    assert all(place >= 30 for place in steer(Pointer(memory(), 0), 2, begin)[40:])


def test_an_action_is_gone_to_and_gone_on_with() -> None:
    acts = frozenset(range(10, 16)) | frozenset(range(40, 46))
    pointer = Pointer(memory(act=acts), 0)
    assert set(pointer.memory.goals) == {1, 2, "act"}
    places = steer(pointer, "act", begin=1)
    assert sum(place in acts for place in places[12:]) > 0.8 * len(places[12:])


RATE = Fraction(25)


def controls(script: str, **others: float | str) -> DreamControls:
    return DreamControls(DreamingSettings(steer=script, **others), RATE)


def test_a_command_lasts_until_the_next_entry() -> None:
    steered = controls("0: left, 30: right+zoom, 2s: stay").for_rollout()
    assert [steered.move(n).pan_x for n in (0, 29, 30, 49, 50)] == [PAN, PAN, -PAN, -PAN, 0]
    assert [steered.move(n).zoom for n in (0, 30, 50)] == [1, ZOOM, 1]


def test_commands_add_to_what_is_animated_and_assignments_replace_it() -> None:
    steered = controls("10: left*2+zoom*2+turn-right, 20: pan_x=-.25+recall=0", pan_x=0.1, recall="0.5").for_rollout()
    assert steered.move(0).pan_x == 0.1
    assert steered.move(10).pan_x == pytest.approx(0.1 + 2 * PAN)
    assert steered.move(10).zoom == pytest.approx(ZOOM**2)
    assert steered.move(10).rotate == -TURN
    assert (steered.move(20).pan_x, steered.recall(20), steered.recall(19)) == (-0.25, 0.0, 0.5)


def test_goals_are_shots_and_actions() -> None:
    steered = controls("0: goto 2, 10: jump+left, 20: stay").for_rollout()
    assert [steered.goal(n) for n in (0, 10, 20)] == [2, "jump", None]
    assert parse_steering("0: dance+left").entries[0].goal == "dance"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("0: left,, 30: right", "entry 2 is empty"),
        ("left: 3", "'left' is not a moment"),
        ("0: left, right", r"entry 2 \('right'\) has no moment"),
        ("0: ", "has no command"),
        ("0: left+", "'' is no command"),
        ("0: left 3", r"has a number — write left\*3"),
        ("0: goto", "names no shot"),
        ("0: left*99", "out of bounds"),
        ("0: left*.", "has no number"),
        ("0: zoom=9", "out of bounds"),
        ("0: gain=1", "'gain' is no control"),
        ("0: run*2", "no command"),
        ("0: run+jump", "it goes to 'run' and to 'jump'"),
        ("there-is-no-such-file", "no such file"),
        ("a\0b", "no such file"),
        ("0: goto 9999999", "is no command"),
        ("30: left, 2: right", "2 does not come after 30"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(script: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as refused:
        controls(script)
    assert "\n" not in str(refused.value)


def test_nothing_is_steered_beyond_the_end() -> None:
    steered = controls("0: left, 400: right")
    steered.check(401)
    with pytest.raises(UsageError, match="it steers at 400, and the dream has 300 frames"):
        steered.check(300)


def test_a_file_has_an_entry_a_line_and_comments() -> None:
    Path("a.keys").write_text("\ufeff# played on model abc\n\n0: left  # first\n30: right, 40: stay,\n", "utf-8")
    read = parse_steering("a.keys")
    assert read.text == parse_steering("0: left, 30: right, 40: stay").text
    assert read.played_on == "abc"
    Path("b.keys").write_bytes(b"PK\3\4: left")
    with pytest.raises(UsageError, match="not a text file"):
        parse_steering("b.keys")
    Path("c.keys").write_text("# nothing\n")
    with pytest.raises(UsageError, match="there is no command"):
        parse_steering("c.keys")


bounds = {name: (max(low, -50), min(high, 50)) for name, (low, high) in ANIMATED.items() if name != "blend_amount"}


@given(st.text(max_size=40))
def test_any_text_is_a_script_or_refused(text: str) -> None:
    with suppress(UsageError):
        assert parse_steering(text + ":").entries


CLIPS = [TrainingClip("a.one.mp4", Fraction(25)), TrainingClip("b.mp4", Fraction(25))]
ORIGINS = [Origin(0, n) for n in (*range(20), *range(100, 110))] + [Origin(1, n) for n in range(7, 17)]


def of_table(text: str) -> dict[str, list[int]]:
    Path("t.csv").write_text(text, "utf-8")
    return {name: sorted(places) for name, places in read_action_table(Path("t.csv"), CLIPS, ORIGINS).items()}


def test_a_row_holds_until_the_next_one_in_every_clip_or_in_its_own() -> None:
    assert of_table("frame,note\n5,Jump!\n9,\n105,run\n") == {"jump": [*range(5, 9), 30, 31], "run": [*range(25, 30)]}
    assert of_table("frame,note,clip\n2,up and on,a.one\n4,,a.one.mp4\n") == {"up-and-on": [2, 3]}
    both = of_table("Clip,time,jump,crouch\nb.mp4,0.32,1,0\nb.mp4,0.4,x,yes\n")
    assert both == {"jump": [*range(31, 40)], "crouch": [*range(33, 40)]}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no column 'frame' or 'time', or no rows"),
        ("frame,note\nx,jump\n", "'x' is no moment"),
        ("frame,note\n9,jump\n3,run\n", "not in order"),
        ("frame,note\n9,left\n", "a command already"),
        ("frame,note\n9,7\n", "cannot be a name"),
        ("frame,note\n5000,jump\n", "names nothing at any frame that the model keeps"),
        ("frame,note,clip\n3,jump,c.mp4\n", "the model learned no clip 'c.mp4' — choose from: a.one.mp4, b.mp4"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as refused:
        of_table(text)
    assert "\n" not in str(refused.value)


def test_a_table_that_is_not_there_or_no_text_is_refused() -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_action_table(Path("none.csv"), CLIPS, ORIGINS)
    Path("u.csv").write_bytes(b"PK\3\4frame")
    with pytest.raises(UsageError, match="not a text file"):
        read_action_table(Path("u.csv"), CLIPS, ORIGINS)


def test_what_moves_otherwise_is_another_action() -> None:
    wide = scene(200, 48, seed=2)
    at = [40 + n for n in range(25)] + [65] * 25 + [65 - n for n in range(1, 26)]
    memory = ClipMemory(np.stack([wide[:, x : x + 64] for x in at]), (75,))
    found = cluster_actions(memory)
    assert 2 < len(found) <= 4
    assert list(found)[:2] == ["a1", "a2"]
    assert sum(map(len, found.values())) <= len(memory.places)
    by_place = {place: name for name, places in found.items() for place in places}
    kinds = [{by_place.get(place) for place in span} for span in (range(5, 20), range(30, 45), range(55, 70))]
    assert all(kinds)
    assert sum(map(len, kinds)) == len(set.union(*kinds))  # no action is of two of them


@pytest.mark.parametrize("length", [3, 30])
def test_a_still_or_a_short_clip_has_none(length: int) -> None:
    assert cluster_actions(ClipMemory(np.stack([scene(48, 32, seed=1)] * length), (length,))) == {}
