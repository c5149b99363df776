"""Paint the pictures of a shot, frame by frame, in strokes that live on from one frame to the next."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np

from vidtrans.core.machine import cores
from vidtrans.strokes import brushes, cells, kernels
from vidtrans.strokes.fields import Fields
from vidtrans.strokes.medium import SHAPES, Medium, MediumLayer, Screen, angle_of, parse_ink
from vidtrans.strokes.settings import StrokesSettings

BAND = 64  # rows of the result that are painted at a time
TURN = 0.12  # share of the way by which strokes turn, bend and stretch in a frame
SOFT = np.float32(0.05)  # change of a wash's plane in a line below which its outline is soft
FINEST = 1.1  # pixels of the result: no stroke is narrower

Values = Mapping[str, float]


@dataclass(frozen=True)
class Drawn:
    """What of a layer is drawn in one frame, the same for all bands."""

    layer: MediumLayer
    strokes: np.ndarray
    rows: np.ndarray
    how: np.ndarray
    sprites: np.ndarray  # of strokes
    labels: np.ndarray  # of areas: the guide's
    ranks: np.ndarray  # of areas
    wash: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None  # its outline, how sharp that is, how it dries


class LivingLayer:
    """The strokes of a layer that live in a shot. ``number``: of the layer, from the bottom."""

    def __init__(self, layer: MediumLayer, number: int, medium: Medium) -> None:
        self.layer, self.number = layer, number
        file, cut = medium.brushes.get(layer.brush), medium.cut.get(layer.brush)
        if layer.kind in ("strokes", "wash"):
            made = brushes.read_brush(file) if file else cut
            self._sprites = brushes.sprites(layer.brush) if made is None else made
        self._scaled: tuple[tuple[int, int], np.ndarray] = ((0, 0), np.empty(0))
        self.lay_anew(0)

    def lay_anew(self, salt: int) -> None:
        """Take all strokes away. ``salt``: the number that the random properties of new ones depend on."""
        self._salt = (salt * 64 + self.number) * 2 + 1
        self._life = np.empty((0, kernels.LIFE_COLUMNS), np.float32)
        self._ids, self._dying, self._next = np.empty(0, np.int64), np.empty(0, np.uint8), 0
        self._labels = np.empty((0, 0), np.int32)
        self._shares = np.empty((0, 0, 0), np.float32)

    def live(
        self, frame: int, fields: Fields, settings: StrokesSettings, values: Values, fine: np.ndarray, *, first: bool
    ) -> None:
        """Live through a frame. ``first``: strokes that are born do not fade in."""
        layer, scale = self.layer, fields.scale
        height, width = fields.tone.shape
        wide = layer.width * scale * values["size"]
        cell = max(1.5, wide * layer.spacing / math.sqrt(values["density"]))
        self._half = wide / 2
        if layer.kind == "cells":
            cell *= math.sqrt(layer.length)
            stray = math.radians(layer.stray) * values["looseness"]
            self._tessellate(frame, fields, settings, cell, fine, stray, first=first)
            return
        if layer.kind == "sheets":
            self._sort(fields, first=first)
            return
        half = wide * layer.length / 2
        angle, loose = angle_of(layer), values["looseness"]
        rules = np.zeros(kernels.RULES, np.float32)
        rules[:10] = (
            *(width, height, cell, layer.crowd, -layer.hold, layer.hide),
            *(1 - settings.lag, TURN, 1 / settings.fade, math.radians(angle or 0)),
        )
        rules[10:20] = (
            *(angle is not None, layer.follow, math.radians(layer.stray) * loose, half),
            *(layer.clip > 0 and loose < 3, layer.clip * loose, layer.bend, 0),
            *(min(layer.stub * wide, half), layer.across),
        )
        flow = np.empty((0, 0, 2), np.float32) if first else fields.flow
        colours = fields.colours(layer.blur * layer.width * scale * values["size"])
        want = fields.want(layer)
        if layer.even:
            grid = np.float32(cell), math.ceil(width / cell), math.ceil(height / cell)
            kernels.even_out(self._life, self._dying, *grid, np.float32(layer.even))
        self._life, self._ids, self._dying, self._next = kernels.living(
            *(self._life, self._ids, self._dying, self._next, self._salt, frame),
            *(flow, colours, fields.lines, want, fine, rules),
        )
        if layer.kind == "wash":
            self._outline = outline(want, scale) if want.size else (want, want)

    def _tessellate(
        self,
        frame: int,
        fields: Fields,
        settings: StrokesSettings,
        cell: float,
        fine: np.ndarray,
        stray: float,
        *,
        first: bool,
    ) -> None:
        """Live through a frame as cells."""
        layer = self.layer
        limit = 1e6 if layer.where == "everywhere" else cells.HOLE
        rules = _row(
            [
                *(cell, layer.square, layer.hug, limit, -layer.hold, 1 - settings.lag, TURN * 0.4, 1 / settings.fade),
                *(stray, layer.even, 14, math.sqrt(layer.length), 0, 0, 0, 0),
            ]
        )
        flow = np.empty((0, 0, 2), np.float32) if first else fields.flow
        seen = fields.colours(layer.blur * self._half * 2)
        if seen.shape != fields.picture.shape:
            seen = cv2.resize(seen, fields.picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        self._life, self._ids, self._dying, self._next, self._labels = cells.tessellate(
            *(self._life, self._ids, self._dying, self._next, self._salt, frame),
            *(flow, seen, fields.lines, fields.want(layer), fine, self._labels, rules),
        )

    def _sort(self, fields: Fields, *, first: bool) -> None:
        """Live through a frame as sheets of a few colours, which follow those of the film."""
        layer, picture = self.layer, fields.picture
        if first:
            colours = cells.sort_colours(picture, layer.sheets)
            self._life = np.zeros((len(colours), kernels.LIFE_COLUMNS), np.float32)
            self._life[:, [kernels.ALPHA, kernels.NARROW, kernels.FRONT, kernels.BACK]] = 1
            self._ids, self._dying = np.arange(len(colours)), np.zeros(len(colours), np.uint8)
        else:
            colours = self._life[:, kernels.RED : kernels.BLUE + 1]
        self._labels, self._shares = cells.sheets(
            picture, colours, self._shares, fields.flow, max(0.5, layer.round * fields.scale), fields.detail(layer)
        )
        if not first:
            few, where = picture[::2, ::2].reshape(-1, 3), self._labels[::2, ::2].reshape(-1)
            many = np.bincount(where, minlength=len(colours))
            means = [np.bincount(where, few[:, k], len(colours)) / np.maximum(many, 1) for k in range(3)]
            colours = colours + 0.04 * (np.stack(means, 1) - colours) * (many > 50)[:, None]
        self._life[:, kernels.RED : kernels.BLUE + 1] = colours

    def drawn(self, scale: float, strength: Values, size: tuple[int, int]) -> Drawn:
        """Return what is drawn of the layer now. ``scale``: pixels of the result for one of the guide."""
        layer = self.layer
        to_guide = 1 / scale
        if layer.kind == "wash":
            scale /= 2  # it is soft, and dries at the full size
        half = max(self._half, FINEST / 2 / scale)
        ink = parse_ink(layer.colour)
        look = np.zeros(9, np.float32)
        is_area = layer.kind in ("cells", "sheets")
        look[:] = (
            *(1 if is_area else layer.opacity, layer.vary_light, layer.vary_colour, layer.vary_width),
            *(layer.vary_length, layer.vary_height, layer.saturation - 1, 1 if ink is None else 1 - layer.tint),
            layer.sheen,
        )
        ranks = kernels.ranks(self._ids, self._salt)
        order = np.arange(len(ranks)) if is_area else np.argsort(ranks, kind="stable")
        strokes, rows = kernels.to_draw(
            *(self._life, self._ids, order, self._salt, np.float32(scale), np.float32(half)),
            *(1 if is_area else len(self._sprites), look, _row(ink or (0, 0, 0))),
        )
        pixels = min(size) / 480
        if is_area:
            strokes[:, 13] = [kernels.noise(self._salt, int(one), 9) for one in self._ids]
            if layer.kind == "sheets":
                ranks = np.arange(len(ranks), 0, -1, dtype=np.float32)  # the darkest lie on top
            labels = self._labels
            if layer.round and layer.kind == "cells":
                labels = cells.vote(labels, max(1, round(layer.round / scale * pixels)))
            joint = parse_ink(layer.joint)
            how = _row(
                [
                    *(max(0.6, layer.gap * pixels / 2) if layer.gap else 0, layer.bevel * pixels, layer.inside),
                    *(layer.opacity, layer.shadow * pixels, layer.dark, 1 / scale, joint is not None),
                    *(*(joint or (0, 0, 0)), layer.ridge, layer.rim, layer.tilt, layer.streaks, layer.twist),
                ]
            )
            return Drawn(layer, strokes, rows, how, np.empty(0), labels, ranks)
        if layer.margin and layer.kind == "strokes":
            x, y = strokes[:, 0], strokes[:, 1]
            side = np.minimum(np.minimum(x, size[0] - x), np.minimum(y, size[1] - y)) / pixels
            strokes[:, 8] *= np.clip((side - layer.margin) / 3 + 0.5, 0, 1)
        how = _row([layer.blend == "stain", layer.streaks, layer.grip * strength["paper"], layer.hard, layer.thick])
        if layer.kind == "wash":
            how[:3] = 0
        wanted = (round(2 * half * scale), round(2 * half * layer.length * scale))
        if self._scaled[0] != wanted:
            self._scaled = wanted, brushes.at_size(self._sprites, *wanted)
        nothing = np.empty((0, 0), np.int32)
        if layer.kind != "wash":
            return Drawn(layer, strokes, rows, how, self._scaled[1], nothing, ranks)
        strokes[:, 8] /= max(layer.opacity, 1e-3)  # that of the wash as a whole
        dry = _row(
            [
                *(layer.opacity, layer.rim, layer.rim_width * pixels, layer.flow, layer.wander * pixels),
                *(layer.margin * pixels, layer.inside, *(ink or (0, 0, 0)), layer.tint if ink else 0),
                *(size[1], to_guide, pixels, 7 * self.number),
            ]
        )
        return Drawn(layer, strokes, rows, how, self._scaled[1], nothing, ranks, (*self._outline, dry))

    def state(self) -> Mapping[str, np.ndarray]:
        """Return the strokes."""
        counter = np.array([self._next, self._salt], np.int64)
        made: dict[str, np.ndarray] = {"life": self._life, "ids": self._ids, "dying": self._dying, "next": counter}
        return made | ({"labels": self._labels, "shares": self._shares} if self._labels.size else {})

    def resume(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue with the strokes of a ``state``."""
        self._life, self._ids, self._dying = state["life"], state["ids"], state["dying"]
        self._next, self._salt = (int(one) for one in state["next"])
        if "labels" in state:
            self._labels, self._shares = state["labels"], state["shares"]


class StrokePainter:
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
        self._held: Callable[[], np.ndarray] | None = None  # returns the picture that the next frames repeat
        self._workers = ThreadPoolExecutor(self._threads, "vidtrans-paint")
        self._studio = ThreadPoolExecutor(1, "vidtrans-painting")  # so that pictures are painted in order

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
        """Return the painted picture of the next frame, (H, W, 3) of ``size``, of the dtype of ``picture``."""
        return self.begin(index, guide, picture, values, starts_shot=starts_shot, fine=fine)()

    def begin(
        self,
        index: int,
        guide: np.ndarray,
        picture: np.ndarray,
        values: Values,
        *,
        starts_shot: bool,
        fine: np.ndarray | None = None,
    ) -> Callable[[], np.ndarray]:
        """Live through the next frame, and return a call that waits for its picture, which a thread paints.

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
        live = partial(LivingLayer.live, frame=self._frame, fields=fields, settings=settings, values=values)
        run = map if self._threads == 1 else self._workers.map
        list(run(partial(live, fine=share, first=first), self._layers))
        repeats = self._held is not None and self._frame % settings.on
        self._frame += 1
        if repeats:
            assert self._held is not None
            return self._held
        paint = self._painted(values, picture.dtype)
        if self._threads == 1:
            made = paint()
            painted = lambda: made  # noqa: E731
        else:
            painted = self._studio.submit(paint).result
        self._held = painted if settings.on > 1 else None
        return painted

    def _painted(self, values: Values, dtype: np.dtype) -> Callable[[], np.ndarray]:
        """Return a call that paints the picture of the strokes that live now, while others go on to live."""
        fields, finish, (width, height) = self._fields, self.medium.finish, self.size
        scale = width / fields.tone.shape[1]
        pixels = min(self.size) / 480
        drawn = [layer.drawn(scale, values, self.size) for layer in self._layers][::-1]
        reach = max(
            (math.ceil(max(one.how[0] + one.how[1], 1.6 * one.how[4])) + 3 for one in drawn if one.labels.size),
            default=0,
        )
        ink = parse_ink(self.medium.ground.colour)
        ground = _row([[ink]]) if ink else fields.colours(self.medium.ground.blur * fields.scale)
        grain = brushes.paper(finish.paper, round(pixels, 3))
        rough = brushes.paper("rough", round(pixels, 3))
        step = max(1, round(finish.relief * pixels))
        how = _row(
            [
                *(finish.light * values["light"] * 0.5, step, finish.most * max(1, values["light"])),
                *(finish.pigment, finish.granulation * values["paper"], min(1, finish.hollows * values["paper"])),
                *(ground.shape[1] / width, ground.shape[0] / height, np.iinfo(dtype).max),
            ]
        )
        inks = _row([_ink(*one, pixels) for one in self._inks]).reshape(-1, 17)
        picture, bent, phases = fields.picture, fields.bent, fields.phases
        out = np.empty((height, width, 3), dtype)

        def paint_band(top: int) -> None:
            rows = min(BAND, height - top)
            begin, stop = max(0, top - step), min(height, top + rows + step)
            paint = np.zeros((stop - begin, width, 4), np.float32)
            bare = np.ones((stop - begin, width), np.float32)
            stain = np.ones((stop - begin, width, 3), np.float32)
            for one in drawn:
                if one.labels.size:
                    labels = np.empty((stop - begin + 2 * reach, width), np.int32)
                    cells.enlarge(labels, begin - reach, one.labels, np.float32(1 / scale))
                    distance = cells.borders(labels, reach)
                    cells.inlay(
                        *(paint, bare, begin, labels, distance, reach, one.strokes, one.ranks),
                        *(picture, rough, one.how),
                    )
                elif one.wash:
                    far, crisp, how_dry = one.wash
                    wet_top, half = begin // 2 - 1, ((stop - begin) // 2 + 3, (width + 1) // 2 + 1)
                    wet, dry = np.zeros((*half, 4), np.float32), np.ones(half, np.float32)
                    if far.size:
                        kernels.fence(dry, wet_top, far, how_dry)
                    kernels.place(wet, dry, stain, wet_top, one.strokes, one.rows, one.sprites, grain, one.how)
                    kernels.dry(stain, begin, wet, dry, wet_top, far, crisp, picture, grain, how_dry)
                else:
                    kernels.place(paint, bare, stain, begin, one.strokes, one.rows, one.sprites, grain, one.how)
            if len(inks):
                kernels.screen(stain, begin, picture, bent, phases, grain, inks, _row([1 / scale]))
            kernels.finish(out[top : top + rows], paint, bare, stain, top - begin, top, ground, grain, how)

        def paint() -> np.ndarray:
            run = map if self._threads == 1 else self._workers.map
            list(run(paint_band, range(0, height, BAND)))
            return out

        return paint

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
        return made | ({"held": self._held()} if self._held is not None else {})

    def resume(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue exactly from a saved ``state``; an empty one is the beginning of a shot."""
        self._fields.forget()
        held = state.get("held")
        self._held = None if held is None else lambda: held
        if not state:
            return
        self._frame, self._salt = (int(one) for one in state["frame"])
        self._fields.resume({name[7:]: one for name, one in state.items() if name.startswith("fields.")})
        for layer in self._layers:
            start = f"{layer.number}."
            layer.resume({name[len(start) :]: one for name, one in state.items() if name.startswith(start)})


def outline(want: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Return how far each place is inside the outline where a plane (h, w) is 0, in lines, and how sharp that is there.

    ``scale``: pixels for a line. Where the plane hardly changes, the outline is soft, or it would jump with its noise.
    """
    steep = cv2.magnitude(*(cv2.Scharr(want, cv2.CV_32F, *axis, scale=scale / 32) for axis in ((1, 0), (0, 1))))
    return want / np.maximum(steep, SOFT), np.minimum(steep / SOFT, 1)


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
        screen.hard * (pixels if screen.shape in ("dots", "lines", "hatching") else 1),
        *(screen.black, screen.carried, screen.waste, screen.opaque),
    ]
