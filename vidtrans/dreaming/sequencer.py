"""Choose the model for each frame of a dream: one model, several in turn, or a morph between several.

Actions are named events in a clip, with the stored frames at which they happen. They come from a user's table, or from
clustering: without labels, the frames are grouped by their motion, which is the shift, scaling and rotation of the
whole picture and the amount of other motion (k-means with farthest-point initialisation).
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
from vidtrans.dreaming.predictors import load_clip_memory, num_clock_positions, start_zoom
from vidtrans.dreaming.rollout import RolloutModel, start_view
from vidtrans.dreaming.settings import DreamingSettings
from vidtrans.dreaming.steering import GOTO, MOVES
from vidtrans.flow.estimator import FlowEstimator
from vidtrans.inference.device import Device, resolve_device
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.models.loaded_model import LoadedModel, load_engine
from vidtrans.models.model_file import load_generator
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.session import Context
from vidtrans.video.frame_numbers import stem_key

FLAG = "--actions"  # Name, in messages, of the option that takes the action table
NUM_CLUSTERS, MIN_CLUSTER_FRAMES = 4, 5  # Clusters of frames, and the least number of frames of an action
FLOW_SIDE_PX = 96  # Short side at which motion is estimated for clustering, in pixels
SMOOTHING_SIGMA = 2.0  # σ of the temporal smoothing of motion before clustering, in frames
NUM_ITERATIONS = 20  # Number of k-means iterations
TRUE, FALSE = ("1", "x", "yes", "true", "on"), ("", "0", "no", "false", "off")


def find_actions(
    memory: ClipMemory, record: Table, table: str, goals: Collection[int | str]
) -> dict[str, frozenset[int]]:
    """Return the stored frames of each action in an action table (the path ``table``; '' for none).

    If ``goals`` has other actions, the clusters of frames with similar motion are added. ``record``: the table of a
    model's stored frames and their clips. Raises UsageError.
    """
    table_actions: dict[str, frozenset[int]] = {}
    if table:
        clips = [TrainingClip(clip["name"], Fraction(clip["rate"])) for clip in record.get("clips", ())]
        table_actions = read_action_table(Path(table), clips, [Origin(*frame) for frame in record.get("frames", ())])
    named = {goal for goal in goals if isinstance(goal, str)}
    return table_actions if named <= table_actions.keys() else cluster_actions(memory) | table_actions


class Origin(NamedTuple):
    """The source of a stored frame: the index of its training clip, and the frame's number in that clip."""

    clip: int
    frame: int


class TrainingClip(NamedTuple):
    """A training clip: the name of its file, and its frame rate."""

    name: str
    rate: Fraction


def read_action_table(
    path: Path, clips: Sequence[TrainingClip], origins: Sequence[Origin]
) -> dict[str, frozenset[int]]:
    """Return the stored frames of each action in a CSV file; a row applies until the time of the next row.

    A column ``frame`` has numbers, or ``time`` seconds. A column of marks (1 or x, 0 or nothing) is an action with the
    column's name; in any other column each text is an action. A column ``clip`` names the clip of each row.
    ``origins``: the sources of the stored frames. Raises UsageError.
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
        table_actions = [row for row in rows if not row.get("clip") or row["clip"] in _spellings(name)]
        frames = [_frame(row, rate, what) for row in table_actions]
        if frames != sorted(frames):
            raise UsageError(what, "its moments are not in order", "sort its rows")
        for number, (row, first) in enumerate(zip(table_actions, frames, strict=True), start=1):
            stop = frames[number] if number < len(frames) else float("inf")
            places = {at for at, origin in enumerate(origins) if origin.clip == clip and first <= origin.frame < stop}
            for action in _row_actions(row, what):
                found.setdefault(action, set()).update(places)
    found = {action: places for action, places in found.items() if places}
    if not found:
        why = "it names nothing at any frame that the model keeps"
        raise UsageError(what, why, "give the table of the model's clip")
    return {action: frozenset(places) for action, places in found.items()}


def _rows(path: Path, what: str) -> list[dict[str, str]]:
    """Read a CSV file as rows of texts by column name. Raises UsageError if it is no table of actions.

    ``what``: the option with its file, for messages.
    """
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
    """Return the names by which an action table may refer to a clip: with and without its suffix."""
    return name_key(name), stem_key(name)


def _frame(row: Mapping[str, str], rate: Fraction, what: str) -> float:
    """Return the frame number, possibly fractional, at which a row of an action table begins. Raises UsageError.

    ``rate``: frames per second of the clip. ``what``: see ``_rows``.
    """
    text = row.get("frame") or row.get("time") or ""
    try:
        value = parse_number(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise UsageError(what, f"'{text}' is no moment", "write frame numbers, or seconds in a column 'time'")
    return value if row.get("frame") else float(Fraction(value) * rate)


def _row_actions(row: Mapping[str, str], what: str) -> list[str]:
    """Return the names of the actions in a table's row. Raises UsageError for an invalid name.

    ``what``: see ``_rows``.
    """
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


def cluster_actions(memory: ClipMemory) -> dict[str, frozenset[int]]:
    """Cluster a clip's frames by motion; return the frames of actions ``a1``, ``a2``, …, the most frequent first."""
    places = memory.places
    if len(places) < 2 * MIN_CLUSTER_FRAMES:
        return {}
    motion = _motion(memory)
    spread = np.maximum(motion.std(0), 1e-4)
    groups = _cluster(motion / spread)
    sets = sorted((frozenset(places[groups == n].tolist()) for n in range(groups.max() + 1)), key=lambda s: -len(s))
    sets = [one for one in sets if len(one) >= MIN_CLUSTER_FRAMES]
    return {f"a{n}": one for n, one in enumerate(sets, start=1)} if len(sets) > 1 else {}


def _motion(memory: ClipMemory) -> np.ndarray:
    """Return the smoothed motion at each stored frame, (n, 5): shift x and y, scaling, rotation, other motion."""
    height, width = memory.pictures.shape[1:3]
    scale = min(1.0, FLOW_SIDE_PX / min(height, width))
    size = max(16, round(width * scale)), max(16, round(height * scale))
    estimator = FlowEstimator("dis")
    smaller = (cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in memory.pictures)
    frames = [estimator.prepare(picture) for picture in smaller]
    rows = [_flow_features(estimator.estimate(frames[at], frames[at + memory.step]), size) for at in memory.places]
    smooth: np.ndarray = cv2.GaussianBlur(np.array(rows, np.float32), (1, 0), sigmaX=1e-3, sigmaY=SMOOTHING_SIGMA)
    return smooth


def _flow_features(flow: np.ndarray, size: tuple[int, int]) -> list[float]:
    """Return a flow's shift x and y, scaling, rotation, and mean of other motion; lengths relative to the width."""
    x, y = np.meshgrid(np.arange(size[0]) - size[0] / 2, np.arange(size[1]) - size[1] / 2)
    shift = np.median(flow.reshape(-1, 2), axis=0)
    rest = flow - shift
    reach = np.maximum(x**2 + y**2, 1)
    scaling = float(np.median((rest[..., 0] * x + rest[..., 1] * y) / reach))
    rotation = float(np.median((rest[..., 1] * x - rest[..., 0] * y) / reach))
    other = float(np.hypot(rest[..., 0] - scaling * x + rotation * y, rest[..., 1] - scaling * y - rotation * x).mean())
    return [*(float(s) / size[0] for s in shift), scaling, rotation, other / size[0]]


def _cluster(points: np.ndarray) -> np.ndarray:
    """Return the cluster index of each point (n, d), by k-means with farthest-point initialisation."""
    centres = [points[np.square(points - np.median(points, axis=0)).sum(1).argmin()]]
    while len(centres) < NUM_CLUSTERS:
        distances = np.min([np.square(points - centre).sum(1) for centre in centres], axis=0)
        centres.append(points[distances.argmax()])
    means = np.array(centres)
    for _ in range(NUM_ITERATIONS):
        groups = np.square(points[:, None] - means[None]).sum(2).argmin(1)
        means = np.array([points[groups == n].mean(0) if (groups == n).any() else means[n] for n in range(len(means))])
    found: np.ndarray = groups
    return found


def statistics_in(loaded_model: LoadedModel) -> FrameStatistics | None:
    """Return the statistics of a model's training frames; None if its file has none. Raises ModelError."""
    table = loaded_model.record.dream.get("statistics") if loaded_model.record else None
    return FrameStatistics.of(table) if table else None


class ModelSequencer:
    """Chooses the model of each frame: several in turn, or a morph from the first to the last. Raises UsageError.

    ``loaded_models``: the models in order. ``num_frames``: the number of frames of the dream.
    """

    def __init__(
        self,
        loaded_models: Sequence[LoadedModel],
        settings: DreamingSettings,
        rendering: RenderingSettings,
        context: Context,
        num_frames: int,
    ) -> None:
        self.loaded_models, self.settings, self.rendering, self.context = loaded_models, settings, rendering, context
        parts = len(loaded_models) - settings.morph
        if parts == 0 or (len(loaded_models) == 1 and settings.frames_per_model is not None):
            flag = "--morph" if settings.morph else "--every"
            raise UsageError(
                flag,
                "it needs several models, and only one is given",
                f"give --model several times, or leave out {flag}",
            )
        self.every = (settings.frames_per_model or -(-num_frames // parts)) if len(loaded_models) > 1 else num_frames
        for loaded_model in loaded_models[1:] if settings.morph else ():
            if _architecture(loaded_model) != _architecture(loaded_models[0]):
                both = f"'{loaded_models[0].name}' and '{loaded_model.name}'"
                raise UsageError("--morph", f"{both} have different architectures", "use models of one training run")
        self._correctors = [self._corrector(loaded_model) for loaded_model in loaded_models]
        self._models: dict[int, RolloutModel] = {}
        self._morph: Morph | None = None

    def _corrector(self, loaded_model: LoadedModel) -> DriftCorrector | None:
        """Return the drift corrector for a model; None without statistics or with strength 0."""
        statistics = statistics_in(loaded_model)
        if statistics is None or self.settings.drift_correction == 0:
            return None
        widened = statistics.widened(places=self.settings.moves(), channels=self.settings.colours())
        return DriftCorrector(widened, self.settings.drift_correction)

    def __call__(self, frame: int) -> RolloutModel:
        """Return the model that predicts a frame. Raises ModelError, DeviceError."""
        number, share = self._place(frame)
        if number not in self._models:
            loaded_model = self.loaded_models[number]
            settings, positions = loaded_model.pairing.settings, num_clock_positions(loaded_model)
            engine, corrector = self._engine(number, share), self._correctors[number]
            memory = None if loaded_model.pairing.has_clock else load_clip_memory(loaded_model)
            if memory and loaded_model.record and self.settings.needs_actions:
                table = self.settings.actions if number == 0 else ""
                actions = find_actions(memory, loaded_model.record.dream, table, self.settings.goals)
                memory = replace(memory, actions=actions)
            pointer = Pointer(memory, self.context.seed) if memory else None
            self._models[number] = RolloutModel(
                engine,
                settings.context_frames,
                settings.step,
                positions,
                corrector,
                pointer,
                start_view(start_zoom(self.loaded_models[0], self.settings)),
            )
        model = self._models[number]
        return replace(model, engine=self._engine(number, share)) if self.settings.morph else model

    def _place(self, frame: int) -> tuple[int, float]:
        """Return the index of a frame's model, and the weight, 0 to 1, of the next model in a morph."""
        turn, into = divmod(frame, self.every)
        if not self.settings.morph:
            return turn % len(self.loaded_models), 0.0
        last = len(self.loaded_models) - 1
        return (turn, into / self.every) if turn < last else (last, 0.0)

    def _engine(self, number: int, share: float) -> TorchEngine:
        """Return the engine of the model ``number``, in a morph interpolated to the next model by ``share``."""
        if not self.settings.morph:
            engine = load_engine(self.loaded_models[number], self.rendering, self.context)
            assert isinstance(engine, TorchEngine)  # The identity model cannot predict frames
            return engine
        if self._morph is None:
            paths = [loaded_model.path for loaded_model in self.loaded_models if loaded_model.path]
            device = resolve_device(self.context.device)
            self._morph = Morph(lambda n: load_generator(paths[n])[0], device, self.rendering.precision)
        return self._morph.at(number, share)

    @property
    def exact(self) -> list[str]:
        """Return the operators that this machine computes wrongly, and that the models therefore compute in fp32."""
        return sorted({name for model in self._models.values() for name in model.engine.exact})

    def for_key(self) -> Table:
        """Return the settings of the model sequence, for cache keys; {} for one model."""
        return {"every": self.every, "morph": self.settings.morph} if len(self.loaded_models) > 1 else {}


def _architecture(loaded_model: LoadedModel) -> str:
    """Return a digest of a model's architecture and inputs; models can morph only if their digests are equal."""
    record = loaded_model.record
    assert record is not None
    clock = record.dream.get("positions", 0)
    return digest_of([record.generator, record.pairing, record.in_channels, record.plate, clock])


class Morph:
    """Interpolates the weights of generators with one architecture; ``load(n)`` returns the n-th, on the CPU.

    Generators are in eval mode; at most two are in memory at once.
    """

    def __init__(self, load: Callable[[int], Any], device: Device, precision: str) -> None:
        self._load, self._device, self._precision = load, device, precision
        self._generators: dict[int, nn.Module] = {}
        self._mix: nn.Module | None = None  # Overwritten for each engine; engines copy it
        self._latest: tuple[tuple[int, float], TorchEngine] | None = None

    def at(self, number: int, share: float) -> TorchEngine:
        """Return the engine of generator ``number``, interpolated towards the next by ``share`` (0 to 1)."""
        if self._latest is None or self._latest[0] != (number, share):
            mixed = self._interpolate(number, share) if share else self._generator(number)
            self._latest = (number, share), TorchEngine(mixed, self._device, self._precision)
        return self._latest[1]

    def _generator(self, number: int) -> nn.Module:
        """Return the n-th generator; only it and its neighbours stay in memory."""
        if number not in self._generators:
            self._generators = {n: g for n, g in self._generators.items() if abs(n - number) == 1}
            self._generators[number] = self._load(number)
        return self._generators[number]

    @torch.inference_mode()
    def _interpolate(self, number: int, share: float) -> nn.Module:
        """Return a generator interpolated from generator ``number`` towards the next by ``share``, 0 to 1.

        All weights and normalisation statistics are interpolated (Wang et al., "Deep Network Interpolation", 2019).
        """
        one, other = self._generator(number).state_dict(), self._generator(number + 1).state_dict()
        if self._mix is None:
            self._mix = copy.deepcopy(self._generator(number))
        for name, value in self._mix.state_dict().items():
            if value.is_floating_point():
                torch.lerp(one[name], other[name], share, out=value)
        for name, buffer in self._generator(number).named_buffers():  # Stored clip frames, which cannot be interpolated
            if not buffer.is_floating_point():
                owner, _, leaf = name.rpartition(".")
                setattr(self._mix.get_submodule(owner), leaf, buffer)
        return self._mix
