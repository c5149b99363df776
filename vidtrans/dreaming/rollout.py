"""Autoregressive rollout: predict each frame of a dream from the previously predicted frames.

The camera moves between two frames. Past frames are rendered from their original pictures, so each is resampled once. A
view is a 3 × 3 matrix, float64, that maps view pixels to picture pixels, both relative to the centre, y down.

``ResumableRollout`` resumes at any frame from saved states, and closes a loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table
from vidtrans.data.moving_windows import moved_view, normalised
from vidtrans.dreaming.drift_correction import PATIENCE, DriftCorrector
from vidtrans.dreaming.pointer import Pointer, PointerState
from vidtrans.inference.torch_engine import TorchEngine, to_pictures
from vidtrans.pairing.next_frame import ClipConditions
from vidtrans.store.chunks import StateStore

NEAR, NEAREST = 3.0, 6.0  # Magnifications, relative to the start, at which recall begins to fade and is 0
FAR, FARTHEST = 1.5, 2.0  # Widths of the view, relative to the frame, at which recall begins to fade and is 0
RETURN_FRAMES = 30  # Number of frames over which recall rises again after the camera's view was reset
IDENTITY = np.eye(3)  # Identity of views and of colour matrices
# Hue changes rotate the two colour differences of BT.709 and keep luma, so that grey stays grey.
_LUMA = (0.2126, 0.7152, 0.0722)  # Weights of red, green and blue in luma
# Matrix from RGB to luma and colour differences
_TO_CHROMA = np.array(
    [
        _LUMA,
        [-_LUMA[0] / 1.8556, -_LUMA[1] / 1.8556, (1 - _LUMA[2]) / 1.8556],
        [(1 - _LUMA[0]) / 1.5748, -_LUMA[1] / 1.5748, -_LUMA[2] / 1.5748],
    ]
)
_FROM_CHROMA = np.linalg.inv(_TO_CHROMA)  # Matrix from luma and colour differences to RGB
MAX_FADE = 12  # Longest cross-fade from a loop's end to its run-in, in frames (half a second)
MIN_RUN_IN = 48  # Minimum run-in (frames predicted before a loop begins), after which the seed has no influence
LEAD = "lead"  # Name, in a saved state, of the run-in frames to which the loop's end cross-fades


@dataclass(frozen=True)
class ClipView:
    """The camera's view of the training clip's frames.

    Attributes:
        start: The initial view, to which it is reset when the frames no longer cover it.
        matrix: The map from picture to frame coordinates, (3, 3) float64, see ``normalised``.
        since: Frames since the last reset.
    """

    start: np.ndarray = field(default_factory=lambda: np.eye(3))
    matrix: np.ndarray = field(default_factory=lambda: np.eye(3))
    since: int = RETURN_FRAMES

    def moved(self, move: np.ndarray) -> ClipView:
        """Return the view after a camera ``move``, (3, 3), or the initial view if that is too near or too far."""
        matrix = self.matrix @ move
        near, far = self._distances(matrix)
        if near >= NEAREST or far >= FARTHEST or not np.isfinite(matrix).all():
            return ClipView(self.start, self.start, 0)
        return ClipView(self.start, matrix, min(self.since + 1, RETURN_FRAMES))

    @property
    def share(self) -> float:
        """Return the factor, 0 to 1, on the influence of the stored frames (recall) in this view.

        It falls as the view gets too near or too far, and rises again after a reset of the view.
        """
        near, far = self._distances(self.matrix)
        shares = self.since / RETURN_FRAMES, (NEAREST - near) / (NEAREST - NEAR), (FARTHEST - far) / (FARTHEST - FAR)
        return float(min(1.0, max(0.0, min(shares))))

    def _distances(self, matrix: np.ndarray) -> tuple[float, float]:
        """Return a view's magnification relative to the initial view, and the view's width in frame widths."""
        scales = [float(np.sqrt(abs(np.linalg.det(view[:2, :2])))) for view in (self.start, matrix)]
        return scales[0] / max(scales[1], 1e-9), scales[1]


@dataclass(frozen=True)
class CameraMove:
    """A change of camera and hue between two frames; ``zoom`` is a factor, other fields as in ``DreamingSettings``."""

    zoom: float = 1.0
    rotate: float = 0.0
    pan_x: float = 0.0
    pan_y: float = 0.0
    hue: float = 0.0

    def view(self, width: int, height: int) -> np.ndarray:
        """Return the matrix of the camera's move, (3, 3) float64, for a frame of this width and height in pixels."""
        if (self.zoom, self.rotate, self.pan_x, self.pan_y) == (1.0, 0.0, 0.0, 0.0):
            return IDENTITY
        return moved_view(self.zoom, self.rotate, self.pan_x * width, self.pan_y * height)

    def colours(self) -> np.ndarray:
        """Return the RGB matrix of the hue rotation, (3, 3) float64; its rows sum to 1, so it applies to [-1, 1]."""
        if self.hue == 0.0:
            return IDENTITY
        angle = np.deg2rad(self.hue)
        cosine, sine = np.cos(angle), np.sin(angle)
        turn = np.array([[1.0, 0.0, 0.0], [0.0, cosine, -sine], [0.0, sine, cosine]])
        matrix: np.ndarray = _FROM_CHROMA @ turn @ _TO_CHROMA
        return matrix


def start_view(zoom: float) -> np.ndarray:
    """Return the view, (3, 3), that magnifies the centre of a clip's frames by ``zoom``."""
    return np.diag([1 / zoom, 1 / zoom, 1.0])


def transform(picture: Tensor, view: np.ndarray, colours: np.ndarray) -> Tensor:
    """Render a picture, (3, H, W) float32 in [-1, 1], through a camera view and a colour matrix.

    Bicubic (Keys, 1981), mirrored beyond the border. An identity view is not resampled.
    """
    result = picture
    if not np.array_equal(view, IDENTITY):
        grid = _grid(view, picture.shape[2], picture.shape[1], picture.device)
        result = F.grid_sample(result[None], grid, "bicubic", "reflection", align_corners=False)[0]
    if not np.array_equal(colours, IDENTITY):
        matrix = torch.from_numpy(colours.astype(np.float32)).to(result)
        result = torch.einsum("ij,jhw->ihw", matrix, result)
    return result if result is picture else result.clamp(-1, 1)


def _grid(view: np.ndarray, width: int, height: int, device: torch.device) -> Tensor:
    """Return the sampling positions of a view, (1, H, W, 2) float32, from -1 to 1 between the picture's edges."""
    across = torch.arange(width, device=device, dtype=torch.float32) + (0.5 - width / 2)
    down = (torch.arange(height, device=device, dtype=torch.float32) + (0.5 - height / 2))[:, None]
    x = (across * float(view[0, 0]) + down * float(view[0, 1]) + float(view[0, 2])) * (2 / width)
    y = (across * float(view[1, 0]) + down * float(view[1, 1]) + float(view[1, 2])) * (2 / height)
    return torch.stack([x, y], dim=-1)[None]


@dataclass(frozen=True)
class RolloutModel:
    """A model in a rollout: predicts the next frame from past frames.

    Attributes:
        context: The number of past frames in its input.
        step: The clock positions by which a frame at speed 1 advances.
        positions: The number of positions on its clock's timeline, 0 without a clock.
        corrector: Corrects frames towards the training range.
        pointer: Finds the position of a model that is conditioned on similar frames instead of a clock.
        start: The initial view of its clip's frames, see ``normalised``.
    """

    engine: TorchEngine
    context: int
    step: int = 1
    positions: int = 0
    corrector: DriftCorrector | None = None
    pointer: Pointer | None = None
    start: np.ndarray = field(default_factory=lambda: IDENTITY)


@dataclass(frozen=True)
class RolloutControls:
    """The controls of a rollout, each a function of the frame number.

    Attributes:
        move: The camera move.
        speed: The clock's speed, 1 as in the clip.
        recall: The influence of the clip's stored frames, 0 to 1.
        wander: The frequency of jumps out of their order, 0 to 1.
        goal: The shot, or the action, which a pointer is to reach.
        amount: The share of the driving video in the fed-back frame, 0 to 1.
        drive: The driving video's frame, (3, H, W) float32 in [-1, 1].
    """

    move: Callable[[int], CameraMove]
    speed: Callable[[int], float]
    recall: Callable[[int], float] = lambda frame: 1.0
    wander: Callable[[int], float] = lambda frame: 0.0
    goal: Callable[[int], int | str | None] = lambda frame: None
    amount: Callable[[int], float] = lambda frame: 0.0
    drive: Callable[[int], np.ndarray] | None = None


@dataclass(frozen=True)
class HistoryFrame:
    """A predicted picture, (3, H, W) float32 in [-1, 1], with the view and colour matrix of all later moves."""

    picture: Tensor
    view: np.ndarray = field(default_factory=lambda: IDENTITY)
    colours: np.ndarray = field(default_factory=lambda: IDENTITY)

    def moved(self, view: np.ndarray, colours: np.ndarray) -> HistoryFrame:
        """Return the frame after one more camera move: a view and a colour matrix."""
        return replace(self, view=self.view @ view, colours=colours @ self.colours)

    def render(self) -> Tensor:
        """Return this earlier frame's picture, transformed to the virtual camera's current view and colours."""
        return transform(self.picture, self.view, self.colours)


class Rollout:
    """A rollout from ``seed`` pictures: (3, H, W) float32 in [-1, 1], oldest first, enough for all models.

    ``model_at(frame)`` returns the frame's model. ``first`` is the number of the first frame (negative for a run-in
    that is discarded), ``phase`` the clock's at the newest seed frame, in turns. ``on_restart(frame)`` is called when
    frames are so far from the training frames that the rollout restarts from its seed. The result depends only on the
    arguments and the ``state``. ``follows``: the camera also moves the view of the clip's frames.
    """

    def __init__(
        self,
        seed: Sequence[np.ndarray],
        model_at: Callable[[int], RolloutModel],
        controls: RolloutControls,
        *,
        first: int = 0,
        phase: float = 0.0,
        follows: bool = True,
        on_restart: Callable[[int], None] = lambda frame: None,
    ) -> None:
        self._seed, self._model_at, self._controls, self._on_restart = seed, model_at, controls, on_restart
        self._device = model_at(first).engine.place
        self.frame, self._phase, self._num_drifted = first, phase, 0
        self._pointer_state: PointerState | None = None
        self._pointer_frame = first  # The last frame whose model has a pointer
        self._pointer: Pointer | None = None  # Pointer of ``_pointer_state``; each model has its own
        self._history = self._seed_history()
        start, self._follows = model_at(first).start, follows
        self._view = ClipView(start, start)

    def _seed_history(self) -> list[HistoryFrame]:
        """Return the history that consists of the seed's pictures."""
        return [HistoryFrame(self._tensor(p)) for p in self._seed]

    def _tensor(self, picture: np.ndarray) -> Tensor:
        """Return a picture as a float32 tensor on the models' device."""
        return torch.from_numpy(np.ascontiguousarray(picture, np.float32)).to(self._device)

    @torch.inference_mode()
    def step(self) -> Tensor:
        """Predict and return the next frame, (3, H, W) float32 in [-1, 1]. Raises DeviceError."""
        model = self._model_at(self.frame)
        moves = self._move_camera(self._controls.move(self.frame))
        frames = [past.render() for past in self._history[-model.context :]]
        position, recall = self._position(model, frames), self._controls.recall(self.frame) * self._view.share
        if model.pointer is not None and self._pointer_state is not None:
            self._pointer_state = self._pointer_state.after_camera_move() if moves else self._pointer_state
            recall *= self._pointer_state.share
        picture = model.engine.predict(self._input(frames, position, recall))[0]
        if model.pointer is not None and self._pointer_state is not None and recall:
            picture = model.pointer.pull(picture, self._pointer_state, recall, self._view.matrix)
        has_drifted = False
        if model.corrector is not None:
            picture, has_drifted = model.corrector(picture)
        fed_back = picture
        if self._controls.drive is not None and (amount := self._controls.amount(self.frame)) != 0.0:
            fed_back = torch.lerp(picture, self._tensor(self._controls.drive(self.frame)), amount)
        self._history = [*self._history[1:], HistoryFrame(fed_back)]
        self._num_drifted = self._num_drifted + 1 if has_drifted else 0
        if self._num_drifted >= PATIENCE:
            self._history, self._num_drifted, self._pointer_state = self._seed_history(), 0, None
            self._view = ClipView(model.start, model.start)
            self._on_restart(self.frame)
        self.frame += 1
        return picture

    @property
    def place(self) -> int | None:
        """Return the number of the stored frame at which the pointer is; None without a pointer.

        The frame that was predicted last follows this frame in the clip.
        """
        return self._pointer_state.place if self._pointer_state else None

    def _move_camera(self, move: CameraMove) -> bool:
        """Apply a camera move to all past frames, which preserves motion between them; return whether it moves."""
        height, width = self._history[-1].picture.shape[1:]
        view, colours = move.view(width, height), move.colours()
        if view is not IDENTITY or colours is not IDENTITY:
            self._history = [past.moved(view, colours) for past in self._history]
            if self._follows:
                self._view = self._view.moved(normalised(view, (width, height), (width, height)))
        return view is not IDENTITY

    def _input(self, frames: list[Tensor], position: float | None, recall: float) -> Tensor:
        """Return a model's input, (1, C, H, W): past frames, and with a ``position`` also planes of conditions.

        The conditions, each a constant plane, are the clock phase ``position`` in turns, the weight ``recall`` and the
        camera view.
        """
        if position is None:
            return torch.cat(frames)[None]
        view = tuple(map(float, self._view.matrix[:2].ravel()))
        values = torch.from_numpy(ClipConditions(position, recall, view=view).values()).to(self._device)
        return torch.cat([*frames, values[:, None, None].expand(-1, *frames[0].shape[1:])])[None]

    def _position(self, model: RolloutModel, frames: list[Tensor]) -> float | None:
        """Advance the clock or the pointer by a frame; return the phase in turns, or None for a model without both."""
        if model.pointer is not None:
            self._pointer_frame = self.frame
            if self._pointer_state is None or self._pointer is not model.pointer:
                age = 0 if self._pointer_state is None else self._pointer_state.age + 1
                found = model.pointer.find(frames, self._view.matrix)
                self._pointer_state, self._pointer = replace(found, age=age), model.pointer
            else:
                wander = self._controls.wander(self.frame)
                self._pointer_state = model.pointer.advance(
                    self._pointer_state, frames, self.frame, wander, self._view.matrix, self._controls.goal(self.frame)
                )
            return model.pointer.phase(self._pointer_state)
        if not model.positions:
            return None
        turns = self._phase + self._controls.speed(self.frame) * model.step / model.positions
        self._phase = turns % 1.0
        return self._phase

    def state(self) -> dict[str, np.ndarray]:
        """Return the named arrays on which all later frames depend."""
        return {
            "frame": np.array([self.frame]),
            "phase": np.array([self._phase]),
            "num_drifted": np.array([self._num_drifted]),
            "view": np.stack([self._view.start, self._view.matrix]),
            "view_since": np.array([self._view.since]),
            "pointed": np.array([self._pointer_frame]),
            "pointing": np.array([] if self._pointer_state is None else list(astuple(self._pointer_state))),
            "pictures": np.stack([past.picture.cpu().numpy() for past in self._history]),
            "views": np.stack([past.view for past in self._history]),
            "colours": np.stack([past.colours for past in self._history]),
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Return to the ``state`` of an earlier frame."""
        self.frame, self._phase = int(state["frame"][0]), float(state["phase"][0])
        self._num_drifted = int(state["num_drifted"][0])
        start, matrix = state["view"]
        self._view = ClipView(start, matrix, int(state["view_since"][0]))
        pointing = state["pointing"].astype(int).tolist()
        self._pointer_state = PointerState(*pointing) if pointing else None
        self._pointer_frame = int(state["pointed"][0])
        self._pointer = self._model_at(self._pointer_frame).pointer if pointing else None
        parts = zip(state["pictures"], state["views"], state["colours"], strict=True)
        self._history = [HistoryFrame(self._tensor(picture), view, colours) for picture, view, colours in parts]


@dataclass(frozen=True)
class Loop:
    """A dream that repeats after ``frames`` frames, in which the clock makes ``rounds`` turns at ``speed``.

    Negative rounds go backwards.

    ``run_in`` frames are predicted before the first frame; the loop's end fades into the last ``fade`` of the run-in.
    """

    frames: int
    rounds: int
    speed: float
    run_in: int
    fade: int

    @classmethod
    def nearest(cls, frames: int, speed: float, step: int, positions: int) -> Loop:
        """Return the loop of whole clock turns whose speed is closest to ``speed``.

        ``step``: clock positions per frame at speed 1. ``positions``: clock positions per turn. Raises UsageError at
        speed 0.
        """
        if speed == 0:
            raise UsageError("--loop", "at speed 0 the clock stands still", "choose another --speed")
        turns = frames * speed * step / positions
        rounds = max(1, round(abs(turns))) * (1 if turns > 0 else -1)
        turn_length = -(-frames // abs(rounds))
        fade = min(frames // 4, turn_length, MAX_FADE)
        return cls(frames, rounds, rounds * positions / (frames * step), max(turn_length, MIN_RUN_IN), fade)

    def share(self, frame: int) -> float:
        """Return the weight, 0 to 1, of a run-in frame in the loop's frame: 0 before the cross-fade, then rising."""
        into = frame - (self.frames - self.fade)
        return (into + 1) / (self.fade + 1) if into >= 0 else 0.0

    def for_key(self) -> Table:
        """Return the properties that affect the frames, for cache keys."""
        return {"frames": self.frames, "rounds": self.rounds, "run_in": self.run_in, "fade": self.fade}


class ResumableRollout:
    """A rollout that can continue from saved ``states``.

    ``make_rollout`` creates the rollout at its start. ``loop``: the loop whose end is cross-faded, or None.
    ``on_step`` is called after each predicted frame.
    """

    def __init__(
        self, make_rollout: Callable[[], Rollout], states: StateStore, loop: Loop | None, on_step: Callable[[], None]
    ) -> None:
        self._make_rollout, self._states, self._loop, self._on_step = make_rollout, states, loop, on_step
        self._current: Rollout | None = None
        self._lead: np.ndarray | None = None

    @property
    def _rollout(self) -> Rollout:
        """Return the current rollout; create it on first use."""
        if self._current is None:
            self._current = self._make_rollout()
        return self._current

    def go_to(self, frame: int) -> None:
        """Go to ``frame``, from the nearest saved state before it or from the current position."""
        if self._loop is not None and self._lead is None:
            self._run_in(self._loop)
        here = None if self._current is None else self._current.frame
        if here != frame:
            known = self._states.load_latest(frame)
            if here is None or here > frame or (known and known[0] > here):
                self._current = self._make_rollout()
                if known:
                    self._current.restore(known[1])
        while self._rollout.frame < frame:
            self.next()

    def next(self) -> Tensor:
        """Predict and return the next frame, (3, H, W) float32 in [-1, 1]; in a loop, cross-faded near its end."""
        frame, picture = self._rollout.frame, self._step()
        share = self._loop.share(frame) if self._loop else 0.0
        if self._loop is None or self._lead is None or share == 0.0:
            return picture
        lead = torch.from_numpy(self._lead[frame - (self._loop.frames - self._loop.fade)].astype(np.float32))
        return torch.lerp(picture, (lead.permute(2, 0, 1) / 32767.5 - 1).to(picture), share)

    def _step(self) -> Tensor:
        """Return the next predicted frame, and report the step."""
        picture = self._rollout.step()
        self._on_step()
        return picture

    def state(self) -> Mapping[str, np.ndarray]:
        """Return the current state of the rollout, to save it."""
        return self._rollout.state()

    def _run_in(self, loop: Loop) -> None:
        """Predict the run-in of a loop; save its last frames, for the cross-fade, and the state before frame 0."""
        state = self._states.load(0)
        if state is None:
            lead: list[np.ndarray] = []
            while self._rollout.frame < 0:
                number, picture = self._rollout.frame, self._step()
                if number >= -loop.fade:
                    lead.append(to_pictures(picture[None], deep=True)[0])
            height, width = picture.shape[1:]
            state = {**self.state(), LEAD: np.stack(lead) if lead else np.zeros((0, height, width, 3), np.uint16)}
            self._states.save(0, state)
        self._lead = state[LEAD]
