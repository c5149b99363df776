"""The model for each frame of a dream: one model, several in turn, or several that morph into one another.

Actions are what happens in a clip, by name, at which of its kept frames; of a table of the user's, or found. Found
without labels, the frames are grouped by how they go on: by the shift, the change of size and the turn of the whole
picture, and by how much else moves (k-means, with centres that are taken as far from each other as they can be).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import nn

from vidtrans.core.errors import UsageError
from vidtrans.core.files import digest_of
from vidtrans.core.settings import Table
from vidtrans.core.system import name_key
from vidtrans.core.text_files import TableRow, parse_number, read_rows, read_text
from vidtrans.data.clip_memory import ClipMemory
from vidtrans.dreaming.drift_correction import DriftCorrector, FrameStatistics
from vidtrans.dreaming.pointer import Pointer
from vidtrans.dreaming.predictors import memory_of, positions_of, start_zoom
from vidtrans.dreaming.rollout import RolloutModel, start_view
from vidtrans.dreaming.settings import DreamingSettings
from vidtrans.dreaming.steering import GOTO, MOVES
from vidtrans.flow.estimator import FlowEstimator
from vidtrans.inference.device import Device, resolve_device
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.models.loaded_model import LoadedModel, load_engine
from vidtrans.models.model_file import load_generator
from vidtrans.pairing.pairing_records import pairing_record
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.session import Context
from vidtrans.video.frame_numbers import stem_key

FLAG = "--actions"
MOST_FOUND, FEWEST_FRAMES = 4, 5  # actions that are found, and frames of one
SIDE = 96  # pixels of the short side at which motion is estimated
SMOOTHING = 2.0  # frames, σ
ROUNDS = 20
TRUE, FALSE = ("1", "x", "yes", "true", "on"), ("", "0", "no", "false", "off")


def known_actions(
    memory: ClipMemory, kept: Table, table: str, wanted: Collection[int | str]
) -> dict[str, frozenset[int]]:
    """Return the actions of a table, whose name may be empty; and those that are found, if others are wanted.

    ``kept``: a model's record of its kept frames. Raises UsageError.
    """
    own: dict[str, frozenset[int]] = {}
    if table:
        clips = [ClipOf(clip["name"], Fraction(clip["rate"])) for clip in kept.get("clips", ())]
        own = actions_of_table(Path(table), clips, [Origin(*frame) for frame in kept.get("frames", ())])
    named = {goal for goal in wanted if isinstance(goal, str)}
    return own if named <= own.keys() else found_actions(memory) | own


class Origin(NamedTuple):
    """Where a kept frame comes from: the number of its clip, and its own number there."""

    clip: int
    frame: int


class ClipOf(NamedTuple):
    """A clip that a model learned: its file's name, and its frame rate."""

    name: str
    rate: Fraction


def actions_of_table(path: Path, clips: Sequence[ClipOf], origins: Sequence[Origin]) -> dict[str, frozenset[int]]:
    """Return the kept frames of each action of a CSV file, whose rows hold from their moment to the next row's.

    A column ``frame`` holds numbers, or ``time`` seconds. A column of marks (1 or x, 0 or nothing) is an action of its
    name; in any other column each text is one. A column ``clip`` names the clip of each row. Raises UsageError.
    """
    what = f"{FLAG} {path}"
    rows = _rows(path, what)
    if not clips:
        raise UsageError(what, "the model has no record of where its frames come from", "train it again")
    names = [clip.name for clip in clips]
    known = {spelt for name in names for spelt in _spellings(name)}
    if unknown := [row["clip"] for row in rows if row.get("clip") and row["clip"] not in known]:
        raise UsageError(what, f"the model learned no clip '{unknown[0]}'", f"choose from: {', '.join(names)}")
    found: dict[str, set[int]] = {}
    for clip, (name, rate) in enumerate(zip(names, (clip.rate for clip in clips), strict=True)):
        own = [row for row in rows if not row.get("clip") or row["clip"] in _spellings(name)]
        frames = [_frame(row, rate, what) for row in own]
        if frames != sorted(frames):
            raise UsageError(what, "its moments are not in order", "sort its rows")
        for number, (row, first) in enumerate(zip(own, frames, strict=True), start=1):
            stop = frames[number] if number < len(frames) else float("inf")
            places = {at for at, origin in enumerate(origins) if origin.clip == clip and first <= origin.frame < stop}
            for action in _names(row, what):
                found.setdefault(action, set()).update(places)
    found = {action: places for action, places in found.items() if places}
    if not found:
        why = "it names nothing at any frame that the model keeps"
        raise UsageError(what, why, "give the table of the model's clip")
    return {action: frozenset(places) for action, places in found.items()}


def _rows(path: Path, what: str) -> list[dict[str, str]]:
    try:
        head, *lines = [*read_rows(name_key(read_text(path, what=what)))] or [TableRow(0, [])]
    except ValueError as error:
        raise UsageError(what, f"it cannot be read as a table ({error})", "save it as CSV") from None
    names = [name.lower() for name in head.cells]
    rows = [dict(zip_longest(names, line.cells[: len(names)], fillvalue="")) for line in lines]
    if not rows or not {"frame", "time"} & rows[0].keys():
        raise UsageError(what, "it has no column 'frame' or 'time', or no rows", "name one so in its first line")
    return rows


def _spellings(name: str) -> tuple[str, str]:
    """Return the names by which a table may call a clip: with its suffix, and without."""
    return name_key(name), stem_key(name)


def _frame(row: Mapping[str, str], rate: Fraction, what: str) -> float:
    text = row.get("frame") or row.get("time") or ""
    try:
        value = parse_number(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise UsageError(what, f"'{text}' is no moment", "write frame numbers, or seconds in a column 'time'")
    return value if row.get("frame") else float(Fraction(value) * rate)


def _names(row: Mapping[str, str], what: str) -> list[str]:
    names = []
    for column, value in row.items():
        if column in ("frame", "time", "clip") or value.lower() in FALSE:
            continue
        name = re.sub(r"[^\w-]+", "-", (column if value.lower() in TRUE else value).lower()).strip("-_")
        if not re.fullmatch(r"[a-z][\w-]*", name, re.ASCII) or name in (*MOVES, GOTO):
            why = f"'{value}' is a command already" if name in (*MOVES, GOTO) else f"'{value}' cannot be a name"
            raise UsageError(what, why, "use another word, of letters")
        names.append(name)
    return names


def found_actions(memory: ClipMemory) -> dict[str, frozenset[int]]:
    """Return the places of each action that is found in a clip: ``a1``, ``a2``, …, the most frequent first."""
    places = memory.places
    if len(places) < 2 * FEWEST_FRAMES:
        return {}
    motion = _motion(memory)
    spread = np.maximum(motion.std(0), 1e-4)
    groups = _grouped(motion / spread)
    sets = sorted((frozenset(places[groups == n].tolist()) for n in range(groups.max() + 1)), key=lambda s: -len(s))
    sets = [one for one in sets if len(one) >= FEWEST_FRAMES]
    return {f"a{n}": one for n, one in enumerate(sets, start=1)} if len(sets) > 1 else {}


def _motion(memory: ClipMemory) -> np.ndarray:
    """Return how the picture goes on at each place, (n, 5): shifts, size, turn, and what moves otherwise; smoothed."""
    height, width = memory.pictures.shape[1:3]
    scale = min(1.0, SIDE / min(height, width))
    size = max(16, round(width * scale)), max(16, round(height * scale))
    estimator = FlowEstimator("dis")
    smaller = (cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in memory.pictures)
    frames = [estimator.prepare(picture) for picture in smaller]
    rows = [_of_flow(estimator.estimate(frames[at], frames[at + memory.step]), size) for at in memory.places]
    smooth: np.ndarray = cv2.GaussianBlur(np.array(rows, np.float32), (1, 0), sigmaX=1e-3, sigmaY=SMOOTHING)
    return smooth


def _of_flow(flow: np.ndarray, size: tuple[int, int]) -> list[float]:
    x, y = np.meshgrid(np.arange(size[0]) - size[0] / 2, np.arange(size[1]) - size[1] / 2)
    shift = np.median(flow.reshape(-1, 2), axis=0)
    rest = flow - shift
    reach = np.maximum(x**2 + y**2, 1)
    grows = float(np.median((rest[..., 0] * x + rest[..., 1] * y) / reach))
    turns = float(np.median((rest[..., 1] * x - rest[..., 0] * y) / reach))
    other = float(np.hypot(rest[..., 0] - grows * x + turns * y, rest[..., 1] - grows * y - turns * x).mean())
    return [*(float(s) / size[0] for s in shift), grows, turns, other / size[0]]


def _grouped(points: np.ndarray) -> np.ndarray:
    """Return the group of each point (n, d), by k-means from centres that lie far apart."""
    centres = [points[np.square(points - np.median(points, axis=0)).sum(1).argmin()]]
    while len(centres) < MOST_FOUND:
        distances = np.min([np.square(points - centre).sum(1) for centre in centres], axis=0)
        centres.append(points[distances.argmax()])
    means = np.array(centres)
    for _ in range(ROUNDS):
        groups = np.square(points[:, None] - means[None]).sum(2).argmin(1)
        means = np.array([points[groups == n].mean(0) if (groups == n).any() else means[n] for n in range(len(means))])
    found: np.ndarray = groups
    return found


def statistics_in(look: LoadedModel) -> FrameStatistics | None:
    """Return the statistics of a model's training frames; None if it has none. Raises ModelError."""
    table = look.record.dream.get("statistics") if look.record else None
    return FrameStatistics.of(table) if table else None


class ModelSequencer:
    """The model of each frame: in turn, again and again, or a morph from the first to the last. Raises UsageError."""

    def __init__(
        self,
        looks: Sequence[LoadedModel],
        settings: DreamingSettings,
        rendering: RenderingSettings,
        context: Context,
        num_frames: int,
    ) -> None:
        self.looks, self.settings, self.rendering, self.context = looks, settings, rendering, context
        parts = len(looks) - settings.morph
        if parts == 0 or (len(looks) == 1 and settings.frames_per_model is not None):
            flag = "--morph" if settings.morph else "--every"
            raise UsageError(
                flag,
                "it needs several models, and only one is given",
                f"give --model several times, or leave out {flag}",
            )
        self.every = (settings.frames_per_model or -(-num_frames // parts)) if len(looks) > 1 else num_frames
        for look in looks[1:] if settings.morph else ():
            if _architecture(look) != _architecture(looks[0]):
                both = f"'{looks[0].name}' and '{look.name}'"
                raise UsageError("--morph", f"{both} have different architectures", "use models of one training run")
        self._correctors = [self._corrector(look) for look in looks]
        self._models: dict[int, RolloutModel] = {}
        self._morph: Morph | None = None

    def _corrector(self, look: LoadedModel) -> DriftCorrector | None:
        statistics = statistics_in(look)
        if statistics is None or self.settings.drift_correction == 0:
            return None
        loosened = statistics.loosened(places=self.settings.moves(), channels=self.settings.colours())
        return DriftCorrector(loosened, self.settings.drift_correction)

    def __call__(self, frame: int) -> RolloutModel:
        """Return the model of a frame. Raises ModelError, DeviceError."""
        number, share = self._place(frame)
        if number not in self._models:
            look = self.looks[number]
            settings, positions = look.pairing.settings, positions_of(look)
            engine, corrector = self._engine(number, share), self._correctors[number]
            memory = None if look.pairing.has_clock else memory_of(look)
            if memory and look.record and self.settings.needs_actions:
                table = self.settings.actions if number == 0 else ""
                actions = known_actions(memory, look.record.dream, table, self.settings.goals)
                memory = replace(memory, actions=actions)
            pointer = Pointer(memory, self.context.seed) if memory else None
            self._models[number] = RolloutModel(
                engine,
                settings.context_frames,
                settings.step,
                positions,
                corrector,
                pointer,
                start_view(start_zoom(self.looks[0], self.settings)),
            )
        model = self._models[number]
        return replace(model, engine=self._engine(number, share)) if self.settings.morph else model

    def _place(self, frame: int) -> tuple[int, float]:
        """Return the index of a frame's model, and the interpolation weight, 0 to 1, of the next model."""
        turn, into = divmod(frame, self.every)
        if not self.settings.morph:
            return turn % len(self.looks), 0.0
        last = len(self.looks) - 1
        return (turn, into / self.every) if turn < last else (last, 0.0)

    def _engine(self, number: int, share: float) -> TorchEngine:
        if not self.settings.morph:
            engine = load_engine(self.looks[number], self.rendering, self.context)
            assert isinstance(engine, TorchEngine)  # the identity model predicts nothing
            return engine
        if self._morph is None:
            paths = [look.path for look in self.looks if look.path]  # all have one
            device = resolve_device(self.context.device)
            self._morph = Morph(lambda n: load_generator(paths[n])[0], device, self.rendering.precision)
        return self._morph.at(number, share)

    @property
    def exact(self) -> list[str]:
        """Return the operators that models computed in fp32 so far, because this machine computes them wrongly."""
        return sorted({name for model in self._models.values() for name in model.engine.exact})

    def for_key(self) -> Table:
        """Return the sequence's settings, for cache keys; {} for one model."""
        return {"every": self.every, "morph": self.settings.morph} if len(self.looks) > 1 else {}

    def models_for_key(self) -> list[Table]:
        """Return the digest and the pairing of each model, for cache keys."""
        return [{"digest": x.digest, "pairing": pairing_record(x.pairing)} | x.padding_key for x in self.looks]


def _architecture(look: LoadedModel) -> str:
    record = look.record
    assert record is not None
    clock = record.dream.get("positions", 0)
    return digest_of([record.generator, record.pairing, record.in_channels, record.plate, clock])


class Morph:
    """Engines interpolated between generators of one architecture; ``load(n)`` returns the n-th, on the CPU.

    Generators are in eval mode; at most two are in memory at once.
    """

    def __init__(self, load: Callable[[int], Any], device: Device, precision: str) -> None:
        self._load, self._device, self._precision = load, device, precision
        self._generators: dict[int, nn.Module] = {}
        self._mix: nn.Module | None = None  # overwritten for each engine, which copies it
        self._latest: tuple[tuple[int, float], TorchEngine] | None = None

    def at(self, number: int, share: float) -> TorchEngine:
        """Return the engine of generator ``number``, interpolated towards the next by ``share`` (0 to 1)."""
        if self._latest is None or self._latest[0] != (number, share):
            mixed = self._mixed(number, share) if share else self._generator(number)
            self._latest = (number, share), TorchEngine(mixed, self._device, self._precision)
        return self._latest[1]

    def _generator(self, number: int) -> nn.Module:
        if number not in self._generators:
            self._generators = {n: g for n, g in self._generators.items() if abs(n - number) == 1}
            self._generators[number] = self._load(number)
        return self._generators[number]

    @torch.inference_mode()
    def _mixed(self, number: int, share: float) -> nn.Module:
        """Interpolate all weights and norm statistics, as in Wang et al., "Deep Network Interpolation" (2019)."""
        one, other = self._generator(number).state_dict(), self._generator(number + 1).state_dict()
        if self._mix is None:
            self._mix = copy.deepcopy(self._generator(number))
        for name, value in self._mix.state_dict().items():
            if value.is_floating_point():
                torch.lerp(one[name], other[name], share, out=value)
        for name, kept in self._generator(number).named_buffers():  # frames that the one keeps, to which it points
            if not kept.is_floating_point():
                owner, _, leaf = name.rpartition(".")
                setattr(self._mix.get_submodule(owner), leaf, kept)
        return self._mix
