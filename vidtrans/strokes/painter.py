"""Paint the pictures of a shot, frame by frame, in strokes that live on from one frame to the next."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from vidtrans.core.machine import cores
from vidtrans.strokes import brushes, kernels
from vidtrans.strokes.fields import Fields
from vidtrans.strokes.media import SHAPES, Layer, Medium, Screen, angle_of, parse_ink
from vidtrans.strokes.settings import StrokesSettings

VERSION = 1  # of the pictures that a painter makes of the same medium
BAND = 64  # rows of the result that are painted at a time
TURN = 0.25  # share of the way by which strokes turn, bend and stretch in a frame
FINEST = 1.1  # pixels of the result: no stroke is narrower

Values = Mapping[str, float]


@dataclass(frozen=True)
class Drawn:
    """What of a layer is drawn in one frame, the same for all bands."""

    layer: Layer
    strokes: np.ndarray
    rows: np.ndarray
    how: np.ndarray
    sprites: np.ndarray  # of strokes
    grid: tuple[np.ndarray, np.ndarray, int, int, Any]  # of cells
    ranks: np.ndarray  # of cells


class LivingLayer:
    """The strokes of a layer that live in a shot. ``number``: of the layer, from the bottom."""

    def __init__(self, layer: Layer, number: int, medium: Medium) -> None:
        self.layer, self.number = layer, number
        file = medium.brushes.get(layer.brush)
        if layer.kind == "strokes":
            self._sprites = brushes.read_brush(file) if file else brushes.sprites(layer.brush)
        self._scaled: tuple[tuple[int, int], np.ndarray] = ((0, 0), np.empty(0))
        self.lay_anew(0)

    def lay_anew(self, salt: int) -> None:
        """Take all strokes away. ``salt``: the number that the random properties of new ones depend on."""
        self._salt = (salt * 64 + self.number) * 2 + 1
        self._life = np.empty((0, kernels.LIFE_COLUMNS), np.float32)
        self._ids, self._dying, self._next = np.empty(0, np.int64), np.empty(0, np.uint8), 0

    def live(
        self, frame: int, fields: Fields, settings: StrokesSettings, values: Values, fine: np.ndarray, *, first: bool
    ) -> None:
        """Live through a frame. ``first``: strokes that are born do not fade in."""
        layer, scale = self.layer, fields.scale
        height, width = fields.tone.shape
        wide = layer.width * scale * values["size"]
        cell = max(1.5, wide * layer.spacing / math.sqrt(values["density"]))
        self._cell, self._half = cell, wide / 2
        half = wide * layer.length / 2
        angle, loose = angle_of(layer), values["looseness"]
        rules = np.zeros(kernels.RULES, np.float32)
        rules[:10] = (
            *(width, height, cell, layer.crowd, -layer.hold, layer.hide),
            *(1 - settings.lag, TURN, 1 / settings.fade, math.radians(angle or 0)),
        )
        rules[10:20] = (
            *(angle is not None, layer.follow, math.radians(layer.stray) * loose, half),
            *(layer.clip > 0 and loose < 3, layer.clip * loose, layer.bend, layer.even),
            *(min(layer.stub * wide, half), layer.across),
        )
        flow = np.empty((0, 0, 2), np.float32) if first else fields.flow
        colours = fields.colours(layer.blur * layer.width * scale * values["size"])
        self._life, self._ids, self._dying, self._next = kernels.living(
            *(self._life, self._ids, self._dying, self._next, self._salt, frame),
            *(flow, colours, fields.lines, fields.want(layer), fine, rules),
        )

    def drawn(self, scale: float, strength: Values, size: tuple[int, int]) -> Drawn:
        """Return what is drawn of the layer now. ``scale``: pixels of the result for one of the guide."""
        layer = self.layer
        half = max(self._half, FINEST / 2 / scale)
        ink = parse_ink(layer.colour)
        look = np.zeros(8, np.float32)
        is_cell = layer.kind == "cells"
        look[:] = (
            *(1 if is_cell else layer.opacity, layer.vary_light, layer.vary_colour, layer.vary_width),
            *(layer.vary_length, layer.vary_height, layer.saturation - 1, 1 if ink is None else 1 - layer.tint),
        )
        ranks = kernels.ranks(self._ids, self._salt)
        order = np.arange(len(ranks)) if is_cell else np.argsort(ranks, kind="stable")
        strokes, rows = kernels.to_draw(
            *(self._life, self._ids, order, self._salt, np.float32(scale), np.float32(half)),
            *(1 if is_cell else len(self._sprites), look, _row(ink or (0, 0, 0))),
        )
        pixels = min(size) / 480
        if is_cell:
            across, down = math.ceil(size[0] / scale / self._cell), math.ceil(size[1] / scale / self._cell)
            nobody = np.zeros(len(self._life), np.uint8)
            starts, members = kernels.by_cell(self._life, nobody, np.float32(self._cell), across, down)
            how = _row(
                [
                    *(max(0.6, layer.gap * pixels / 2) if layer.gap else 0, layer.bevel * pixels, layer.inside),
                    *(layer.opacity, layer.shadow * pixels, layer.dark, 1 / scale),
                ]
            )
            return Drawn(
                layer,
                strokes,
                rows,
                how,
                np.empty(0),
                (starts, members, across, down, np.float32(self._cell * scale)),
                ranks,
            )
        grip = layer.grip * strength["paper"]
        how = _row([layer.blend == "stain", layer.streaks, grip, layer.hard])
        wanted = (round(2 * half * scale), round(2 * half * layer.length * scale))
        if self._scaled[0] != wanted:
            self._scaled = wanted, brushes.at_size(self._sprites, *wanted)
        nothing = (np.empty(0, np.int32), np.empty(0, np.int32), 0, 0, 0.0)
        return Drawn(layer, strokes, rows, how, self._scaled[1], nothing, ranks)

    def state(self) -> Mapping[str, np.ndarray]:
        """Return the strokes."""
        counter = np.array([self._next, self._salt], np.int64)
        return {"life": self._life, "ids": self._ids, "dying": self._dying, "next": counter}

    def resume(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue with the strokes of a ``state``."""
        self._life, self._ids, self._dying = state["life"], state["ids"], state["dying"]
        self._next, self._salt = (int(one) for one in state["next"])


class Painter:
    """A painter of one clip's frames, in order.

    Args:
        medium: what it paints with.
        settings: how the strokes differ from the medium's own.
        size: the (width, height) of the painted pictures, which may be larger than what it sees.
        threads: that paint, 0 for one for each core; the picture does not depend on them.
        directions: (H, W, 3) uint8 picture of lines along which strokes lie; None for the picture's own.
    """

    def __init__(
        self,
        medium: Medium,
        settings: StrokesSettings,
        size: tuple[int, int],
        threads: int = 0,
        directions: np.ndarray | None = None,
    ) -> None:
        self.medium, self.settings, self.size = medium, settings, size
        self._threads = threads or cores()
        self._fields = Fields(medium, directions)
        self._layers = [LivingLayer(layer, n, medium) for n, layer in enumerate(medium.layers)]
        self._inks = [(screen, parse_ink(screen.ink)) for screen in medium.screens]
        self._frame = 0  # of the shot
        self._salt = 0
        self._held: np.ndarray | None = None  # the picture that the next frames repeat

    def paint(
        self,
        index: int,
        guide: np.ndarray,
        picture: np.ndarray,
        values: Values,
        *,
        starts_shot: bool,
        fine: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the painted picture of the next frame, (H, W, 3) of ``size``, of the dtype of ``picture``.

        Args:
            index: the frame's number in its clip; a shot's strokes depend on that of its first frame.
            guide: the source, (h, w, 3) uint8, whose motion carries the strokes.
            picture: what is painted, (h, w, 3) uint8 or uint16.
            values: of ``settings.CURVES``, by name.
            starts_shot: the canvas is empty before this frame.
            fine: (h, w) uint8, white where strokes are fine; None for everywhere the same.
        """
        settings, fields = self.settings, self._fields
        if starts_shot:
            fields.forget()
            self._frame, self._salt, self._held = 0, index, None
        first = starts_shot or (settings.boil > 0 and self._frame % settings.boil == 0)
        fields.see(guide, picture)
        if first:
            for layer in self._layers:
                layer.lay_anew(self._salt * 4096 + (self._frame // settings.boil if settings.boil else 0))
        share = np.empty((0, 0), np.float32)
        if fine is not None:
            share = cv2.resize(fine, fields.tone.shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        for layer in self._layers:
            layer.live(self._frame, fields, settings, values, share, first=first)
        repeats = self._held is not None and self._frame % settings.on
        self._frame += 1
        if repeats:
            assert self._held is not None
            return self._held
        painted = self._painted(values, picture.dtype)
        self._held = painted if settings.on > 1 else None
        return painted

    def _painted(self, values: Values, dtype: np.dtype) -> np.ndarray:
        """Return the picture of the strokes that live now."""
        fields, finish, (width, height) = self._fields, self.medium.finish, self.size
        scale = width / fields.tone.shape[1]
        pixels = min(self.size) / 480
        drawn = [layer.drawn(scale, values, self.size) for layer in self._layers][::-1]
        reach = max(
            (math.ceil(one.how[0] + max(one.how[1], one.how[4])) + 1 for one in drawn if one.grid[2]), default=0
        )
        ink = parse_ink(self.medium.ground.colour)
        ground = _row([[ink]]) if ink else fields.colours(self.medium.ground.blur * fields.scale)
        grain = brushes.paper(finish.paper, round(pixels, 3))
        step = max(1, round(finish.relief * pixels))
        how = _row(
            [
                *(finish.light * values["light"] * 0.5, step, finish.most * max(1, values["light"])),
                *(finish.pigment, finish.granulation * values["paper"], min(1, finish.hollows * values["paper"])),
                *(ground.shape[1] / width, ground.shape[0] / height, np.iinfo(dtype).max),
            ]
        )
        inks = _row([_ink(*one, pixels) for one in self._inks]).reshape(-1, 16)
        out = np.empty((height, width, 3), dtype)

        def paint_band(top: int) -> None:
            rows = min(BAND, height - top)
            begin, stop = max(0, top - step), min(height, top + rows + step)
            paint = np.zeros((stop - begin, width, 4), np.float32)
            bare = np.ones((stop - begin, width), np.float32)
            stain = np.ones((stop - begin, width, 3), np.float32)
            for one in drawn:
                if one.grid[2]:
                    labels = np.empty((stop - begin + 2 * reach, width), np.int32)
                    starts, members, across, down, cell = one.grid
                    rule = _row([one.layer.square, one.layer.hug, 1 / scale])
                    kernels.nearest(
                        labels, begin - reach, one.strokes, starts, members, across, down, cell, fields.picture, rule
                    )
                    kernels.fill_cells(
                        paint, bare, begin, labels, reach, one.strokes, one.ranks, fields.picture, one.how
                    )
                else:
                    kernels.place(paint, bare, stain, begin, one.strokes, one.rows, one.sprites, grain, one.how)
            if len(inks):
                kernels.screen(stain, begin, fields.picture, grain, inks, _row([1 / scale]))
            kernels.finish(out[top : top + rows], paint, bare, stain, top - begin, top, ground, grain, how)

        tops = range(0, height, BAND)
        if self._threads == 1:
            for top in tops:
                paint_band(top)
        else:
            with ThreadPoolExecutor(self._threads, "vidtrans-paint") as pool:
                list(pool.map(paint_band, tops))
        return out

    def state(self) -> Mapping[str, np.ndarray]:
        """Return everything that the next frame depends on."""
        fields = self._fields.state()
        if not fields:
            return {}
        made: dict[str, np.ndarray] = {"frame": np.array([self._frame, self._salt], np.int64)} | {
            f"fields.{name}": one for name, one in fields.items()
        }
        for layer in self._layers:
            made |= {f"{layer.number}.{name}": one for name, one in layer.state().items()}
        return made | ({"held": self._held} if self._held is not None else {})

    def resume(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue exactly from a saved ``state``; an empty one is the beginning of a shot."""
        self._fields.forget()
        self._held = state.get("held")
        if not state:
            return
        self._frame, self._salt = (int(one) for one in state["frame"])
        self._fields.resume({name[7:]: one for name, one in state.items() if name.startswith("fields.")})
        for layer in self._layers:
            start = f"{layer.number}."
            layer.resume({name[len(start) :]: one for name, one in state.items() if name.startswith(start)})


def _row(values: Sequence[Any]) -> np.ndarray:
    return np.array(values, np.float32)


def _ink(screen: Screen, ink: tuple[float, float, float] | None, pixels: float) -> list[float]:
    """Return the row of ``kernels.screen`` for an ink; ``pixels``: of the result for a line of 480."""
    return [
        *(ink or (0.0, 0.0, 0.0)),
        *(screen.red, screen.green, screen.blue, screen.add),
        math.radians(screen.angle),
        *(screen.pitch * pixels, screen.right * pixels, screen.down * pixels),
        SHAPES.index(screen.shape),
        *(screen.hard, screen.black, screen.swell, screen.waste),
    ]
