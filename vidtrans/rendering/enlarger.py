"""Enlarge a render's pictures to the size of the result, by OpenCV or on the engine's GPU."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vidtrans.config.recipe import Recipe
from vidtrans.core.machine import cores
from vidtrans.flow.warping import shrink
from vidtrans.pairing.class_colours import ClassColours
from vidtrans.rendering.plan import RenderPlan
from vidtrans.session import Context
from vidtrans.upscaling import BY_CLASS, MEASURED
from vidtrans.upscaling.array_pictures import size_of, unit
from vidtrans.upscaling.enlarging import FAULTLESS, Faults, find_faults, upscale, upscale_on
from vidtrans.video.colour.conversion import to_uint8, to_uint16
from vidtrans.video.images.picture import resize


@dataclass(frozen=True)
class ShotFaults:
    """A function from a frame to the faults (lost detail, noise) of a model's pictures in the frame's shot.

    ``faults``: by the first frame of each shot, ascending; without an entry, pictures have no faults.
    """

    faults: Mapping[int, Faults] = field(default_factory=dict)

    def __call__(self, frame: int) -> Faults:
        firsts = list(self.faults)
        number = bisect_right(firsts, frame)
        return self.faults[firsts[number - 1]] if number else FAULTLESS


def note_unused_upscale(plan: RenderPlan, recipe: Recipe, context: Context) -> None:
    """Report that a recipe's ``upscale`` or ``sharpness`` has no effect on a plan, unless a preset set it."""
    if plan.upscale not in ("bicubic", BY_CLASS):
        return
    given, from_preset = recipe.tables.get("rendering", {}), recipe.from_preset.get("rendering", {})
    mode = plan.rendering.upscale
    why = f"pictures are made at {plan.size[0]}x{plan.size[1]}, which is not smaller than the result"
    if plan.classes is not None:
        why = "label maps are enlarged by class"
    elif plan.strokes is not None:
        why = "strokes are painted at the size of the result"
    elif not plan.is_painted:
        why = f"'{plan.model.name}' returns the source's own pictures"
    elif mode == "bicubic":
        why = "nothing is added to a bicubic resize"
    for name, words in (("upscale", f"--upscale {mode}"), ("sharpness", "--sharpness")):
        is_set_by_user = name in given and given[name] != from_preset.get(name)
        if is_set_by_user and (name, mode) != ("upscale", "bicubic"):
            context.note(f"{plan.clip.name}: {words} has no effect: {why}")


def cuda_device_of(engine: Any) -> Any:  # noqa: ANN401  (see ``FramePath``; a torch device)
    """Return the torch device of an engine on an Nvidia GPU; None for other engines and for chains of engines."""
    device = getattr(engine, "device", None) if engine.device_kind == "cuda" else None
    return device and device.torch


MAX_CPU_THREADS = 4  # Limit of the threads that enlarge pictures on the CPU; four suffice for a fast encoder at 4K


class Enlarger:
    """A function that enlarges a plan's filtered pictures, on the Nvidia GPU of the ``engine`` if it has one."""

    def __init__(self, plan: RenderPlan, faults: ShotFaults, engine: Any) -> None:  # noqa: ANN401  (see ``FramePath``)
        self._mode, self._share, self._classes = plan.upscale, plan.rendering.sharpness, plan.classes
        self._faults, self._device = faults, cuda_device_of(engine)
        # The network uses the GPU and its memory too, so only one picture at a time is enlarged there.
        self.threads = 1 if self._device is not None else min(MAX_CPU_THREADS, cores())

    def __call__(self, index: int, output: np.ndarray, source: np.ndarray) -> np.ndarray:
        """Enlarge the output of frame ``index`` to the size of its source, (H, W, 3) of the output's dtype."""
        if self._classes is not None:
            return resize_by_class(output, self._classes, size_of(source))
        if self._mode == "bicubic":
            return resize(output, source.shape[1], source.shape[0])
        if self._device is not None:
            return upscale_on(self._device, output, source, self._mode, self._faults(index), self._share)
        return upscale(output, source, self._mode, self._faults(index), self._share)


def resize_by_class(output: np.ndarray, classes: ClassColours, size: tuple[int, int]) -> np.ndarray:
    """Resize a coloured label map, (H, W, 3) uint8 or uint16, to (width, height) without mixing colours."""
    if size_of(output) == size:
        return output
    resized = classes.resized(to_uint8(output), *size)
    return resized if output.dtype == np.uint8 else to_uint16(resized)


def enlarge_frames(
    outputs: Sequence[np.ndarray],
    sources: Sequence[np.ndarray],
    mode: str,
    share: float,
    *,
    has_faults: bool = True,
    classes: ClassColours | None = None,
) -> list[np.ndarray]:
    """Enlarge a model's outputs of single frames, (h, w, 3) each, to the sizes of their sources, (H, W, 3).

    ``mode``: the ``upscale`` setting. ``share``: the ``sharpness`` setting. ``has_faults``: measure the model's faults
    in these outputs, and correct them. ``classes``: the outputs are label maps with these classes.
    """
    if classes is not None:
        return [resize_by_class(o, classes, size_of(s)) for o, s in zip(outputs, sources, strict=True)]
    if mode == "bicubic":
        return [resize(output, *size_of(source)) for output, source in zip(outputs, sources, strict=True)]
    pairs = list(zip(outputs, sources, strict=True))
    small = [(unit(o), shrink(unit(s), size_of(o))) for o, s in pairs if size_of(o) != size_of(s)]
    faults = find_faults(small) if has_faults and mode in MEASURED else FAULTLESS
    return [upscale(output, source, mode, faults, share) for output, source in pairs]
