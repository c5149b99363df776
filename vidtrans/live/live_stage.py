"""The models of a live session as one painter (the stage): single frames, cross-fades, blending with past pictures.

Fixed-pattern artifacts of a network (``upscaling.enlarging``) are not measured here, because that takes several frames
of a shot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

import cv2
import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Size, Time
from vidtrans.curves.curve import Curve, CurveClock
from vidtrans.live.live_controls import MAX_WORKING_SIZE_PX, NO_MEDIUM, Controls, ControlState, looks_of
from vidtrans.masking.live_masks import LiveMask
from vidtrans.models.loaded_model import LoadedModel, load_engine
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.look_pairing import LookPairing
from vidtrans.pairing.pairing_records import refuse_matte
from vidtrans.pipeline.render import NEUTRAL, RenderingSettings
from vidtrans.rendering.conditions import CodeConditions, Conditions, LookConditions
from vidtrans.rendering.enlarger import cuda_device_of
from vidtrans.rendering.frame_by_frame import FrameByFrame
from vidtrans.rendering.frame_renderer import ModelInputs
from vidtrans.rendering.planned_strokes import StreamStrokes
from vidtrans.session import Context
from vidtrans.strokes.settings import StrokesSettings
from vidtrans.temporal.causal import CausalFilter
from vidtrans.temporal.settings import CausalSettings
from vidtrans.temporal.stream import Sample, Window
from vidtrans.upscaling.array_pictures import size_of
from vidtrans.upscaling.enlarging import upscale_stream
from vidtrans.video.images.picture import resize
from vidtrans.video.io.clip import Frame

CPU_OUTPUT_SIDE_PX, CUDA_OUTPUT_SIDE_PX = 480, 1080  # Default short sides of delivered pictures, in pixels
STROKES_INPUT_SIDE_PX = 216  # Short side, in pixels, at which strokes are planned: finer detail only takes time
NO_CLIP_REASON = "a live source is no clip"  # Reason that errors give for settings that need a clip
SETTLED_LEVELS = 1.0  # Change of a picture by blending, in levels from 0 to 255, below which it is not painted again
Weights = Mapping[str, float]  # Weight of each model by name; the weights sum to 1


@dataclass(frozen=True)
class SourceFrame:
    """A frame of the live source, ``rgb`` (H, W, 3) uint8.

    ``is_drawing``: the frame is the network's input itself, such as edges. ``is_cut``: it does not continue the frame
    before.
    """

    rgb: np.ndarray
    is_drawing: bool = False
    is_cut: bool = False


class LivePicture(NamedTuple):
    """A model's result for a frame: the finished ``picture``, the source (``guide``), a view of the model's input.

    All are (H, W, 3) uint8; ``guide`` has the size of ``picture``.
    """

    picture: np.ndarray
    guide: np.ndarray
    model_input: np.ndarray


class _InputChoices(NamedTuple):
    """The controls on which a model's input depends. ``changes``: settings of the pairing, by name."""

    changes: tuple[tuple[str, float], ...]
    look: str
    stroke_size: float
    is_drawing: bool


class LiveModel:
    """A model that paints the frames of a live source one by one. Raises ModelError, DeviceError, UsageError.

    ``output_size``: the default short side of delivered pictures, in pixels.
    """

    def __init__(
        self,
        model: LoadedModel,
        rendering: RenderingSettings,
        context: Context,
        strokes: StrokesSettings = StrokesSettings(),  # noqa: B008  (frozen)
    ) -> None:
        if model.optimises:
            why = "it optimises each frame, for seconds or minutes"
            raise UsageError(f"model '{model.name}'", why, "choose a model that paints with a trained network")
        refuse_matte(model.name, model.pairing)
        self.model, self._rendering = model, rendering
        for name, curve in strokes.curves().items():
            constant_value(f"strokes.{name}", curve)
        self._own_strokes, self._medium = strokes, ""
        self._last_stroke_values: dict[str, float] = {}
        self._fading = 0  # Frames until the strokes have faded after a change of those values
        painter = StreamStrokes(strokes, TIMELESS, NO_CLIP_REASON)
        engine = load_engine(model, rendering, context, batch=1)
        self._device = cuda_device_of(engine)
        self.output_size = CUDA_OUTPUT_SIDE_PX if engine.device_kind == "cuda" else CPU_OUTPUT_SIDE_PX
        self._frames = FrameByFrame(model, rendering, painter, engine, context)
        self._choices: _InputChoices | None = None
        self._index = self._first = -1
        self._size = 0, 0
        self._has_failed = False  # After a failed frame the state is unknown, so the next one is a cut

    @property
    def pairing(self) -> Pairing:
        """Return the model's pairing, with the settings that controls have changed."""
        return self._frames.pairing

    @property
    def is_changing(self) -> bool:
        """Return whether painting the last frame again would give another picture, because strokes are fading."""
        return self._fading > 0

    def paint(self, frame: SourceFrame, state: ControlState) -> LivePicture:
        """Paint the next frame of the source with the controls of ``state``. Raises UsageError, DeviceError."""
        if self.pairing.has_conditions:
            raise UsageError(
                f"model '{self.model.name}'", "it predicts the frames of its own clip", "choose the source Dream"
            )
        self._apply(state, frame.is_drawing)
        self._choose_medium(state.controls.medium)
        self._index += 1
        guides = _split_guides(frame.rgb, len(self.pairing.guides))
        height, width = guides[0].shape[:2]
        size = self._working_size(state.controls, (width, height))
        is_cut = frame.is_cut or self._has_failed
        if is_cut or size != self._size:
            self._first, self._size = self._index, size
        self._has_failed = True
        source_frame = Frame(self._index, self._index, guides[0], tuple(guides[1:]))
        prepared = self._frames.prepare(source_frame, size, (self._first, self._index + 1))
        (sample,) = self._frames.renderer.stream([prepared])
        self._has_failed = False
        # Enlarging takes detail from the source: a drawing has none, and holes that a model fills would show again.
        output, source = sample.output, sample.guide
        if not (frame.is_drawing or self.pairing.fills_holes):
            output, source = self._enlarge_output(output, source, guides[0], state.controls)
        moved = state.controls.values_for(StrokesSettings)
        if self._frames.strokes.medium is not None:
            self._fading = 2 * self._own_strokes.fade if moved != self._last_stroke_values else max(0, self._fading - 1)
            self._last_stroke_values = moved
            small = Size(short=STROKES_INPUT_SIDE_PX).of(*size_of(output))
            sample = replace(sample, guide=resize(source, *small), output=resize(output, *small), starts_shot=is_cut)
        picture = self._frames.finish(
            sample,
            source,
            {**NEUTRAL, **state.controls.values_for(RenderingSettings)},
            model_input=prepared.input,
            enlarge=lambda *_: output,
            moved=moved,
        )
        model_input = prepared.input[..., : self.pairing.in_channels]  # Without the planes of a style code
        return LivePicture(picture, source, self.pairing.preview(model_input))

    def _enlarge_output(
        self, output: np.ndarray, guide: np.ndarray, source: np.ndarray, controls: Controls
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the model's ``output`` enlarged to the size of ``source``, and ``source`` at that size.

        The short side is limited by the controls. An output that would not grow on both sides stays as it is, and is
        returned with ``guide``, the source at the output's size. If the engine uses an Nvidia GPU, the output is
        enlarged there.
        """
        painted, scale = size_of(output), min(1.0, (controls.output_size or self.output_size) / min(size_of(source)))
        width, height = (round(side * scale) for side in size_of(source))
        if controls.upscale == "off" or width <= painted[0] or height <= painted[1]:
            return output, guide
        frame = np.ascontiguousarray(resize(source, width, height))
        if self._device is None:
            return upscale_stream(output, frame, controls.upscale), frame
        from vidtrans.upscaling.enlarging import upscale_stream_on

        return upscale_stream_on(self._device, output, frame, controls.upscale), frame

    def _working_size(self, controls: Controls, source: tuple[int, int]) -> tuple[int, int]:
        """Return the (width, height) at which the model paints a source of size ``source``, (width, height)."""
        size = str(controls.size) if controls.size else self._rendering.size
        size = "trained" if size == "auto" else size  # A larger size would take longer than a frame lasts
        width, height = self.model.working_size(size, source)
        if min(width, height) > MAX_WORKING_SIZE_PX * self.pairing.upscale_factor:
            return self.model.working_size(str(MAX_WORKING_SIZE_PX), source)
        return width, height

    def _choose_medium(self, medium: str) -> None:
        """Paint in another medium (oil, ink …) from now on, on an empty canvas. Raises UsageError."""
        if medium != self._medium:
            chosen = {"": self._own_strokes.medium, NO_MEDIUM: ""}.get(medium, medium)
            self._frames.strokes = StreamStrokes(replace(self._own_strokes, medium=chosen), TIMELESS, NO_CLIP_REASON)
            self._medium, self._last_stroke_values, self._fading = medium, {}, 0

    def _apply(self, state: ControlState, is_drawing: bool) -> None:
        """Rebuild the model's inputs if ``is_drawing`` or controls that affect them have changed. Raises UsageError."""
        controls = state.controls
        changes = tuple(sorted(state.changes(self.model.pairing).items()))
        choices = _InputChoices(changes, controls.look, controls.stroke_size, is_drawing)
        if choices != self._choices:
            pairing = replace(self.model, changes={**self.model.changes, **dict(changes)}).pairing
            is_input = is_drawing and bool(pairing.drawing_kind)
            inputs = ModelInputs(pairing, drawn=is_input, conditions=self._conditions(pairing, controls))
            self._frames.renderer.inputs = inputs
            self._choices = choices

    def _conditions(self, pairing: Pairing, controls: Controls) -> Conditions | None:
        """Return the values that select the style of each frame for a model with several styles; None for others.

        An unknown style becomes the first one.
        """
        if self.model.has_codes:
            look = controls.look if controls.look in looks_of(self.model) else ""
            return CodeConditions(self.model, look, TIMELESS)
        if not isinstance(pairing, LookPairing):
            return None
        look = controls.look if controls.look in pairing.settings.looks else ""
        settings = replace(self._rendering, look=look, stroke_size=controls.stroke_size)
        return LookConditions(pairing, settings, TIMELESS)


def constant_value(name: str, curve: Curve) -> float:
    """Return the value of a constant curve.

    Raises UsageError if the curve moves; ``name``: the setting in the error.
    """
    if curve.constant is None:
        raise UsageError(f"a curve for {name}", "a live source has no timeline", "give a single value")
    return curve.constant


def _refuse_moment(moment: Time) -> Fraction:
    """Raise UsageError for a key frame, because a live source has no timeline."""
    raise UsageError(f"keyframes at {moment}", "a live source has no timeline", "give a single value")


TIMELESS = CurveClock(int, _refuse_moment, float)  # Curve clock of a live source, which has no timeline and no end


def _split_guides(picture: np.ndarray, count: int) -> Sequence[np.ndarray]:
    """Split a picture (H, W, 3) into ``count`` guide pictures that lie side by side in it, (H, W / count, 3) each."""
    if count < 2:
        return [picture]
    width = picture.shape[1] // count
    return [np.ascontiguousarray(picture[:, k * width : (k + 1) * width]) for k in range(count)]


class Fader:
    """Cross-fade between models: the weight of each model over time. A new model fades in over ``Controls.fade`` s."""

    def __init__(self) -> None:
        self._chosen: tuple[str, str] | None = None
        self._start_weights: dict[str, float] = {}
        self._last_weights: dict[str, float] = {}
        self._start_s, self.is_fading = 0.0, False

    def weights(self, controls: Controls, now: float) -> dict[str, float]:
        """Return the weight of each model at time ``now``, in s; models of weight 0 are left out."""
        target = {controls.model: 1.0}
        if controls.second and controls.crossfade:
            target = {controls.model: 1 - controls.crossfade}
            target[controls.second] = target.get(controls.second, 0) + controls.crossfade
        chosen = controls.model, controls.second
        if self._chosen is None:
            self._start_weights = target
        elif chosen != self._chosen:
            self._start_weights, self._start_s = self._last_weights, now
        self._chosen = chosen
        share = min(1.0, (now - self._start_s) / controls.fade) if controls.fade else 1.0
        self.is_fading = share < 1 and self._start_weights != target
        names = [*target, *(name for name in self._start_weights if name not in target)]
        mixed = {n: (1 - share) * self._start_weights.get(n, 0) + share * target.get(n, 0) for n in names}
        self._last_weights = {name: weight for name, weight in mixed.items() if weight > 0}
        return self._last_weights


class StageMask:
    """The mask of a session, which is found in a thread of its own while the models paint the same frame."""

    def __init__(self) -> None:
        self._mask: LiveMask | None = None
        self._chosen: tuple[str, bool] = "", False  # The mask's text, and whether the source is mirrored
        self._source: np.ndarray | None = None
        self._thread = ThreadPoolExecutor(1, "live mask")
        self._following: Future[None] | None = None

    def begin(self, frame: np.ndarray, source: np.ndarray, controls: Controls, *, is_cut: bool) -> None:
        """Begin to find the mask in the next frame, (H, W, 3) uint8, which may be mirrored.

        ``source``: the frame as it came, the same array if it is painted again; the mask then stays as it is.
        """
        chosen = controls.mask, controls.mirror
        is_new = chosen != self._chosen or self._mask is None
        if is_new:
            self._mask, self._chosen = LiveMask.of(controls.mask), chosen
        assert self._mask is not None
        if is_new or source is not self._source:
            self._following = self._thread.submit(self._mask.follow, frame, starts_shot=is_new or is_cut)
            self._source = source

    def apply(self, picture: np.ndarray, source: np.ndarray, share: float) -> np.ndarray:
        """Return a picture, outside of whose mask the source at its size is seen, with the weight ``share``."""
        if self._following is not None:
            self._following.result()
            self._following = None
        assert self._mask is not None
        outside = np.float32(share) * (1 - self._mask.matte(source))
        return cv2.blendLinear(picture, source, 1 - outside, outside)


class StagePicture(NamedTuple):
    """The ``picture`` to show, and a view of the selected model's input; both (H, W, 3) uint8."""

    picture: np.ndarray
    model_input: np.ndarray


class LiveStage:
    """The models of a session, and the blending of their pictures that the controls select."""

    def __init__(self, models: Mapping[str, LiveModel], causal: CausalSettings) -> None:
        self.models, self._causal = dict(models), causal
        self._fader = Fader()
        self._last_weights: dict[str, float] = {}  # Weights of the models that painted the last frame
        self._filter: CausalFilter | None = None
        self._mean: np.ndarray | None = None  # The last picture, float32
        self._index = 0
        self._is_settled = True
        self._mask = StageMask()

    @property
    def output_size(self) -> int:
        """Return the default short side of delivered pictures, in pixels."""
        return max(model.output_size for model in self.models.values())

    @property
    def is_changing(self) -> bool:
        """Return whether repainting the last frame would give another picture: models, pictures or strokes fade."""
        painting = (self.models[name] for name in self._last_weights if name in self.models)
        return self._fader.is_fading or not self._is_settled or any(model.is_changing for model in painting)

    def close(self, name: str) -> None:
        """Remove the model ``name``, which frees its memory."""
        self.models.pop(name, None)

    def paint(self, frame: SourceFrame, state: ControlState, now: float) -> StagePicture:
        """Paint the next frame with the models that the controls select; ``now``: the time in s.

        Raises UsageError, DeviceError.
        """
        controls, source = state.controls, frame.rgb
        if controls.mirror:
            frame = SourceFrame(cv2.flip(frame.rgb, 1), frame.is_drawing, frame.is_cut)
        if frame.is_cut:
            self._fader = Fader()  # No fade from the models before the cut
        # Models that were removed while they faded out are left out at once.
        weights = {name: share for name, share in self._fader.weights(controls, now).items() if name in self.models}
        weights = weights or {next(n for n in (*self._last_weights, *self.models) if n in self.models): 1.0}
        has_mask = bool(controls.mask and controls.mask_share) and not frame.is_drawing
        if has_mask:
            num_guides = len(self.models[next(iter(weights))].pairing.guides)
            self._mask.begin(_split_guides(frame.rgb, num_guides)[0], source, controls, is_cut=frame.is_cut)
        paintings = {}
        for name in weights:
            is_cut = frame.is_cut or name not in self._last_weights
            paintings[name] = self.models[name].paint(SourceFrame(frame.rgb, frame.is_drawing, is_cut), state)
        self._last_weights = weights
        first = paintings[next(iter(weights))]
        picture = self._blend_past(_mix(paintings, weights), first.guide, frame, controls)
        if has_mask:
            picture = self._mask.apply(picture, first.guide, controls.mask_share)
        return StagePicture(picture, first.model_input)

    def blend_picture(self, picture: np.ndarray, controls: Controls) -> np.ndarray:
        """Blend the picture of a dream, (H, W, 3) uint8, which these models did not paint, with past pictures."""
        return self._blend_past(picture, picture, SourceFrame(picture), controls)

    def _blend_past(self, picture: np.ndarray, guide: np.ndarray, frame: SourceFrame, controls: Controls) -> np.ndarray:
        """Blend a painted picture with past ones; ``guide``: the source at the size of the picture."""
        self._index += 1
        if controls.past != "causal" or frame.is_drawing:
            self._filter = None
        elif self._filter is None:
            self._filter = CausalFilter(self._causal)
        if self._filter is not None:
            sample = Sample(self._index, self._index, guide, picture, frame.is_cut)
            picture = self._filter(Window((sample,), 0))
        return self._blend_last(picture, frame, controls.lerp if controls.past == "lerp" else 0.0)

    def _blend_last(self, picture: np.ndarray, frame: SourceFrame, share: float) -> np.ndarray:
        """Blend a picture with the last delivered picture, which gets the weight ``share``.

        The mean is kept in float32, so that repeated blending reaches the new picture exactly.
        """
        last, self._is_settled = self._mean, True
        if not share or last is None or last.shape != picture.shape or frame.is_cut:
            self._mean = picture.astype(np.float32)
            return picture
        latest = picture.astype(np.float32)
        self._mean = cv2.addWeighted(latest, 1 - share, last, share, 0)
        self._is_settled = float(cv2.norm(self._mean, latest, cv2.NORM_INF)) < SETTLED_LEVELS
        return cv2.convertScaleAbs(self._mean)  # Rounds half to even


def _mix(paintings: Mapping[str, LivePicture], weights: Weights) -> np.ndarray:
    """Return the weighted mean of the pictures of several models, (H, W, 3) uint8, at the size of the first one."""
    if len(weights) == 1:
        (painting,) = paintings.values()
        return painting.picture
    height, width = next(iter(paintings.values())).picture.shape[:2]
    mixed = np.zeros((height, width, 3), np.float32)
    total = sum(weights.values())
    for name, weight in weights.items():
        mixed += np.float32(weight / total) * resize(paintings[name].picture, width, height)
    return np.rint(mixed).astype(np.uint8)
