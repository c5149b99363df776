"""A live dream: a next-frame model whose input is its own last output, while controls move a virtual camera.

The controls are logged, and 'vidtrans dream --steer' renders the dream again from that log.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from vidtrans.core.files import write_bytes
from vidtrans.core.settings import parse_size
from vidtrans.dreaming.predictors import NOISE, first_phase, max_context_frames, num_clock_positions, start_zoom
from vidtrans.dreaming.rollout import CameraMove, Rollout, RolloutControls
from vidtrans.dreaming.seeds import enlarged_size, middle_of, smooth_noise, to_signed
from vidtrans.dreaming.sequencer import ModelSequencer, statistics_in
from vidtrans.dreaming.settings import NEUTRAL_VALUES, NO_MOVE, DreamingSettings
from vidtrans.dreaming.steering import GOTO, LOG_SUFFIX, PLAYED_ON
from vidtrans.inference.torch_engine import to_pictures
from vidtrans.live.live_controls import Controls
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.session import Context
from vidtrans.video.images.picture import cover_crop, resize, write_picture

ENDLESS_FRAMES = 1 << 40  # Number of frames of a dream without an end
# Dream settings with rotation and hue: drift correction then uses no statistics of single positions or channels.
FREE_CAMERA = DreamingSettings(rotate=1.0, hue=1.0)


@dataclass
class KeyLog:
    """The log of the controls of a dream: an entry for each frame at which a control changes.

    ``model``: its path, or else its name, and its digest. ``size``: (width, height) of the dream. ``seed``: its first
    picture, (H, W, 3) uint8; None: noise. ``options``: further options of the command that renders the dream again.
    ``is_driven``: frames of a source were mixed in.
    """

    model: tuple[str, str]
    size: tuple[int, int]
    seed: np.ndarray | None
    options: tuple[str, ...] = ()
    num_frames: int = 0
    is_driven: bool = False
    _entries: list[tuple[int, str]] = field(default_factory=list)

    def record(self, values: Mapping[str, float], goto: int, *, driven: bool) -> None:
        """Record the control ``values`` of the next frame, by name; ``goto``: the shot number to go to, 0 for none.

        ``driven``: a source was mixed in; its frames are not logged.
        """
        names = [name for name in values if name in NO_MOVE or values[name] != NEUTRAL_VALUES[name]]
        commands = "+".join([*(f"{name}={values[name]!r}" for name in names), *([f"{GOTO} {goto}"] if goto else [])])
        if not self._entries or self._entries[-1][1] != commands:
            self._entries.append((self.num_frames, commands))
        self.num_frames += 1
        self.is_driven = self.is_driven or driven

    def command(self, path: Path) -> str:
        """Return the shell command that renders the dream again from the log at ``path``."""
        seed = NOISE if self.seed is None else path.with_suffix(".png").name
        size = f"{self.size[0]}x{self.size[1]}"
        words = ["vidtrans", "dream", seed, "--model", self.model[0], "--steer", path.name, "--size", size]
        return shlex.join([*words, "--frames", str(self.num_frames), *self.options])

    def has_new_frames(self, other: KeyLog | None) -> bool:
        """Return whether this log has frames that ``other`` lacks: an earlier copy, another dream's log, or None."""
        return other is None or self.seed is not other.seed or self.num_frames != other.num_frames

    def copy(self) -> KeyLog:
        """Return a copy of the log as it is now; another thread may be adding entries."""
        count = self.num_frames
        return replace(self, num_frames=count, _entries=[entry for entry in list(self._entries) if entry[0] < count])

    def write(self, video: Path) -> str:
        """Write the log and the dream's first picture next to a video file; return a message for the user."""
        path = video.with_suffix(LOG_SUFFIX)
        lines = [f"# {self.command(path)}", f"{PLAYED_ON}{' '.join(self.model)}"]
        if self.is_driven:
            lines.append("# a source was mixed in, which is not in this log: without it other pictures come")
        lines += [f"{frame}: {commands}" for frame, commands in self._entries]
        try:
            if self.seed is not None:
                write_picture(path.with_suffix(".png"), self.seed)
            write_bytes(path, ("\n".join(lines) + "\n").encode())
        except OSError as error:
            return f"what was done with the dream could not be written down: {error.strerror}"
        return f"what was done with the dream, from its start, is in {path}: {self.command(path)}"


class Dreamer:
    """A running dream of a next-frame model. Raises ModelError, DeviceError, UsageError.

    ``seed``: the first frame, (h, w, 3) uint8; None: noise. ``size``: short side in pixels; 0: the training size.
    """

    def __init__(
        self, model: LoadedModel, rendering: RenderingSettings, context: Context, seed: np.ndarray | None, size: int
    ) -> None:
        assert model.record is not None  # The identity model predicts nothing
        self.model = model
        self._controls = Controls()
        self._drive: np.ndarray | None = None
        short = size or model.record.size
        whole: np.ndarray | None = None
        if seed is None:
            self.size = short, short
            first = smooth_noise(*self.size, context.seed, statistics_in(model))
        else:
            width, height = parse_size(short).of(seed.shape[1], seed.shape[0])
            self.size = width - width % 2, height - height % 2  # Videos need even sides
            outer = enlarged_size(self.size, start_zoom(model, FREE_CAMERA))
            whole = _crop(seed, outer)
            rows, columns = middle_of(outer, self.size)
            first = to_signed(whole[rows, columns])
        self._models = ModelSequencer([model], FREE_CAMERA, rendering, context, ENDLESS_FRAMES)
        self._logged_names, self._shot_goals = self._usable_controls(model)
        name = str(model.path) if model.path else model.name
        self.log = KeyLog((name, model.digest), self.size, whole, _command_options(rendering, context))
        rollout_controls = RolloutControls(
            lambda frame: CameraMove(**{name: getattr(self._controls, name) for name in NO_MOVE}),
            lambda frame: self._controls.speed,
            lambda frame: self._controls.recall,
            lambda frame: self._controls.wander,
            lambda frame: self._controls.goto if self._controls.goto in self._shot_goals else None,
            amount=lambda frame: 0.0 if self._drive is None else self._controls.drive,
            drive=self._drive_input,
        )
        phase = first_phase(model, FREE_CAMERA)
        self._rollout = Rollout([first] * max_context_frames([model]), self._models, rollout_controls, phase=phase)

    def step(self, controls: Controls, drive: np.ndarray | None) -> np.ndarray:
        """Paint the next frame of the dream and log its controls; return it, (H, W, 3) uint8. Raises DeviceError.

        ``drive``: a frame of the source, (h, w, 3) uint8, to mix into the model's input, or None.
        """
        self._controls, self._drive = controls, drive
        values = {name: getattr(controls, name) for name in self._logged_names}
        goto = controls.goto if controls.goto in self._shot_goals else 0
        self.log.record(values, goto, driven=drive is not None and controls.drive > 0)
        picture: np.ndarray = to_pictures(self._rollout.step()[None].to(torch.float32), deep=False)[0]
        return picture

    def _usable_controls(self, model: LoadedModel) -> tuple[list[str], set[int]]:
        """Return the names of the controls that a dream of this model uses, and the numbers of its shots."""
        pointer = self._models(0).pointer
        names = [*NO_MOVE, *(["speed"] if num_clock_positions(model) else [])]
        names += ["recall"] if model.record and model.record.dream.get("runs") else []
        names += ["wander"] if pointer else []
        return names, {goal for goal in (pointer.memory.goals if pointer else ()) if isinstance(goal, int)}

    def _drive_input(self, frame: int) -> np.ndarray:
        """Return the source's frame to mix into the model's input, cropped to the dream's size, in [-1, 1]."""
        assert self._drive is not None  # Otherwise the amount is 0
        return to_signed(_crop(self._drive, self.size))


def _crop(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a picture (h, w, 3) uint8 resized and cropped to fill ``size``, (width, height)."""
    whole, rows, columns = cover_crop(picture.shape[1], picture.shape[0], size)
    return resize(picture, *whole)[rows, columns]


def _command_options(rendering: RenderingSettings, context: Context) -> tuple[str, ...]:
    """Return the options with which the command 'vidtrans dream' renders the same pictures as this session."""
    options = ["--seed", str(context.seed)] if context.seed != Context.seed else []
    for name in ("precision", "engine"):
        if (value := getattr(rendering, name)) != getattr(RenderingSettings, name):
            options += ["--set", f"rendering.{name}={value}"]
    return tuple(options)
