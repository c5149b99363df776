"""The stage of a live session: models, cross-fades between them, and blending with past pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import cv2
import numpy as np

from vidtrans.live.live_controls import Controls, ControlState
from vidtrans.live.live_model import LiveModel, LivePicture, SourceFrame
from vidtrans.temporal.causal import CausalFilter
from vidtrans.temporal.settings import CausalSettings
from vidtrans.temporal.stream import Sample, Window
from vidtrans.video.images.picture import resize

SETTLED = 1.0  # levels of 255: a picture that would change by less is not painted again

Weights = Mapping[str, float]  # of models, adding up to 1


class Fader:
    """Cross-fade between models: the weight of each model over time. New models fade in over ``Controls.fade`` s."""

    def __init__(self) -> None:
        self._chosen: tuple[str, str] | None = None
        self._from: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._since, self.is_fading = 0.0, False

    def weights(self, controls: Controls, now: float) -> dict[str, float]:
        """Return the weights of the models at the time ``now`` in seconds, without weights of 0."""
        target = {controls.model: 1.0}
        if controls.second and controls.crossfade:
            target = {controls.model: 1 - controls.crossfade}
            target[controls.second] = target.get(controls.second, 0) + controls.crossfade
        chosen = controls.model, controls.second
        if self._chosen is None:
            self._from = target
        elif chosen != self._chosen:
            self._from, self._since = self._last, now
        self._chosen = chosen
        share = min(1.0, (now - self._since) / controls.fade) if controls.fade else 1.0
        self.is_fading = share < 1 and self._from != target
        names = [*target, *(name for name in self._from if name not in target)]
        mixed = {n: (1 - share) * self._from.get(n, 0) + share * target.get(n, 0) for n in names}
        self._last = {name: weight for name, weight in mixed.items() if weight > 0}
        return self._last


class StagePicture(NamedTuple):
    """The ``picture`` to show, and a view of the first model's input; both (H, W, 3) uint8."""

    picture: np.ndarray
    model_input: np.ndarray


class LiveStage:
    """Paints frames one after another with the models and blending that the controls select."""

    def __init__(self, models: Mapping[str, LiveModel], causal: CausalSettings) -> None:
        self.models, self._causal = dict(models), causal
        self._fader = Fader()
        self._painting: dict[str, float] = {}  # the models that painted the last frame, with their weights
        self._filter: CausalFilter | None = None
        self._mean: np.ndarray | None = None  # float32, the picture that was shown last
        self._index = 0
        self._is_settled = True

    @property
    def output_size(self) -> int:
        """Return the short side in pixels of delivered pictures where the controls give none."""
        return max(model.output_size for model in self.models.values())

    @property
    def is_changing(self) -> bool:
        """Return whether painting the last frame again would give another picture, because of a fade or a blend."""
        painting = (self.models[name] for name in self._painting if name in self.models)
        return self._fader.is_fading or not self._is_settled or any(model.is_changing for model in painting)

    def close(self, name: str) -> None:
        """Remove a model, if it is there."""
        self.models.pop(name, None)

    def paint(self, frame: SourceFrame, state: ControlState, now: float) -> StagePicture:
        """Paint the next frame at the time ``now`` in seconds. Raises UsageError, DeviceError."""
        controls = state.controls
        if controls.mirror:
            frame = SourceFrame(cv2.flip(frame.rgb, 1), frame.is_drawing, frame.is_cut)
        if frame.is_cut:
            self._fader = Fader()  # no fade from the models before the cut
        # A model that was removed while it faded out is gone at once.
        weights = {name: share for name, share in self._fader.weights(controls, now).items() if name in self.models}
        weights = weights or {next(n for n in (*self._painting, *self.models) if n in self.models): 1.0}
        paintings = {}
        for name in weights:
            is_cut = frame.is_cut or name not in self._painting
            paintings[name] = self.models[name].paint(SourceFrame(frame.rgb, frame.is_drawing, is_cut), state)
        self._painting = weights
        first = paintings[next(iter(weights))]
        picture = self._with_past(_mix(paintings, weights), first.guide, frame, controls)
        return StagePicture(picture, first.model_input)

    def show(self, picture: np.ndarray, controls: Controls) -> np.ndarray:
        """Return a picture of another source, such as a dream, (H, W, 3) uint8, blended with past pictures."""
        return self._with_past(picture, picture, SourceFrame(picture), controls)

    def _with_past(self, picture: np.ndarray, guide: np.ndarray, frame: SourceFrame, controls: Controls) -> np.ndarray:
        self._index += 1
        if controls.past != "causal" or frame.is_drawing:
            self._filter = None
        elif self._filter is None:
            self._filter = CausalFilter(self._causal)
        if self._filter is not None:
            sample = Sample(self._index, self._index, guide, picture, frame.is_cut)
            picture = self._filter(Window((sample,), 0))
        return self._with_last(picture, frame, controls.lerp if controls.past == "lerp" else 0.0)

    def _with_last(self, picture: np.ndarray, frame: SourceFrame, share: float) -> np.ndarray:
        """Mix a picture with the last one, in float32, so that repeated mixing reaches the new picture exactly."""
        last, self._is_settled = self._mean, True
        if not share or last is None or last.shape != picture.shape or frame.is_cut:
            self._mean = picture.astype(np.float32)
            return picture
        latest = picture.astype(np.float32)
        self._mean = cv2.addWeighted(latest, 1 - share, last, share, 0)
        self._is_settled = float(cv2.norm(self._mean, latest, cv2.NORM_INF)) < SETTLED
        return cv2.convertScaleAbs(self._mean)  # rounds, half to even


def _mix(paintings: Mapping[str, LivePicture], weights: Weights) -> np.ndarray:
    """Return the weighted mean of the models' pictures, at the size of the first picture, (H, W, 3) uint8."""
    if len(weights) == 1:
        (painting,) = paintings.values()
        return painting.picture
    height, width = next(iter(paintings.values())).picture.shape[:2]
    mixed = np.zeros((height, width, 3), np.float32)
    total = sum(weights.values())
    for name, weight in weights.items():
        mixed += np.float32(weight / total) * resize(paintings[name].picture, width, height)
    return np.rint(mixed).astype(np.uint8)
