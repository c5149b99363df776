"""Blueprint: a plan of a machine in pale lines on deep blue paper with a grid."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import cv2
import numpy as np

from media.canvas import RNG, Array, blur, clouds, fractal, steps, to_bytes
from media.scenes import SHAPE

Point = tuple[float, float]
THIN, MIDDLE, THICK = 2, 3, 5  # pixels, of lines


def blueprint() -> Array:
    """A rocket, wheels, a bridge, a house and springs, with their measures, hatched where they are cut."""
    sheet = Sheet()
    sheet.rocket((300, 384), 340)
    for middle, radius, teeth in (
        ((720, 210), 130, 22),
        ((915, 330), 92, 16),
        ((560, 640), 96, 17),
        ((880, 90), 60, 11),
    ):
        sheet.gear(middle, radius, teeth)
    sheet.house((70, 90), 150)
    sheet.bridge((650, 560), (1000, 690), 6)
    sheet.spring((440, 90), (440, 330), 34, 7)
    sheet.spring((60, 700), (260, 700), 30, 8)
    sheet.wheel((120, 500), 88)
    sheet.wheel((520, 430), 72)
    sheet.wheel((690, 440), 84)
    sheet.wheel((965, 490), 52)
    sheet.gear((130, 330), 62, 12)
    sheet.gear((850, 470), 58, 10)
    sheet.spring((600, 40), (800, 40), 24, 8)
    for a, b, away in (
        ((590, 210), (850, 210), 158), ((650, 560), (1000, 560), -26), ((70, 240), (220, 240), 44),
        ((32, 500), (208, 500), 112), ((400, 640), (400, 120), 0), ((464, 640), (656, 640), 112),
    ):  # fmt: skip
        sheet.measure(np.array(a, float), np.array(b, float), away)
    return sheet.printed()


class Sheet:
    """The lines of a plan, from 0 to 255."""

    def __init__(self) -> None:
        self.lines = np.zeros(SHAPE, np.uint8)

    def line(self, points: Iterable[Point | Array], width: int = MIDDLE, beyond: float = 0) -> None:
        """A line through points, drawn a little too far at both ends, and not quite straight."""
        path = np.array(list(points), float)
        if beyond:
            path[0] += beyond * unit(path[0] - path[1])
            path[-1] += beyond * unit(path[-1] - path[-2])
        cv2.polylines(
            self.lines, [np.rint(path * 16).astype(np.int32)], False, int(RNG.uniform(200, 255)), width, cv2.LINE_AA, 4
        )

    def circle(self, middle: Point, radius: float, width: int = MIDDLE) -> None:
        """A circle, with a compass."""
        place = np.rint(np.array(middle) * 16).astype(int).tolist()
        cv2.circle(self.lines, place, int(radius * 16), int(RNG.uniform(200, 255)), width, cv2.LINE_AA, 4)

    def axis(self, a: Point, b: Point) -> None:
        """A line of long and short dashes."""
        start, way = np.array(a, float), np.array(b, float) - a
        length, at = float(np.linalg.norm(way)), 0.0
        while at < length:
            for dash, gap in ((26, 8), (6, 8)):
                ends = [start + way / length * min(t, length) for t in (at, at + dash)]
                self.line(ends, THIN)
                at += dash + gap

    def hatch(self, outline: Iterable[Point | Array], angle: float = np.pi / 4, gap: int = 11) -> None:
        """Parallel lines in the area within an outline."""
        y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float32)
        phase = (x * np.cos(angle) + y * np.sin(angle)) % gap
        area = np.zeros(SHAPE, np.uint8)
        cv2.fillPoly(area, [np.rint(np.array(list(outline))).astype(np.int32)], 1)
        ink = 190 * steps(-np.abs(phase - gap / 2), -1.7, -0.6) * area
        self.lines = np.maximum(self.lines, ink.astype(np.uint8))

    def measure(self, a: Array, b: Array, away: float) -> None:
        """A measure between two points, ``away`` pixels beside them: arrows, and strokes as of figures."""
        along = unit(b - a)
        across = np.array([-along[1], along[0]])
        for end in (a, b):
            self.line([end + across * np.sign(away) * 8, end + across * (away + 10 * np.sign(away))], THIN)
        a, b = a + across * away, b + across * away
        self.line([a, b], THIN)
        for end, inward in ((a, along), (b, -along)):
            head = [end, end + 17 * inward + 5 * across, end + 17 * inward - 5 * across]
            cv2.fillPoly(self.lines, [np.rint(head).astype(np.int32)], 240, cv2.LINE_AA)
        place = np.rint((a + b) / 2 + [8, -8]).astype(int).tolist()
        cv2.putText(
            self.lines, str(int(np.linalg.norm(b - a) * 5)), place, cv2.FONT_HERSHEY_SIMPLEX, 0.7, 235, 2, cv2.LINE_AA
        )

    def gear(self, middle: Point, radius: float, teeth: int) -> None:
        """A toothed wheel with a hub and spokes, one quarter of its rim hatched."""
        t = np.linspace(0, 2 * np.pi, 40 * teeth + 1)
        reach = radius * (1 - 0.09 * np.clip(2.4 * np.sin(teeth * t), -1, 1))
        self.line(np.stack([np.cos(t), np.sin(t)], 1) * reach[:, None] + middle, THICK)
        for share, width in ((0.78, MIDDLE), (0.3, THICK), (0.16, MIDDLE)):
            self.circle(middle, share * radius, width)
        part = t[(t > 0.2) & (t < 1.8)]
        rings = [np.stack([np.cos(part), np.sin(part)], 1) * radius * share + middle for share in (0.78, 0.9)]
        self.hatch(np.concatenate([rings[0], rings[1][::-1]]))
        for angle in np.arange(5) * 2 * np.pi / 5 + RNG.uniform(0, 1):
            out = np.array([np.cos(angle), np.sin(angle)])
            for side in (-0.07, 0.07):
                shift = side * radius * np.array([-out[1], out[0]])
                self.line([middle + 0.3 * radius * out + shift, middle + 0.78 * radius * out + shift])
        for way in ((1, 0), (0, 1)):
            self.axis(tuple(middle - 1.25 * radius * np.array(way)), tuple(middle + 1.25 * radius * np.array(way)))

    def wheel(self, middle: Point, radius: float) -> None:
        """Circles around a middle with construction lines and bolts."""
        for share, width in ((1, THICK), (0.88, THIN), (0.62, MIDDLE), (0.24, THICK)):
            self.circle(middle, share * radius, width)
        for angle in np.arange(8) * np.pi / 4:
            out = np.array([np.cos(angle), np.sin(angle)])
            self.circle(tuple(middle + 0.75 * radius * out), 0.07 * radius, MIDDLE)
            self.line([middle + 0.24 * radius * out, middle + 1.2 * radius * out], THIN)
        t = np.linspace(0, np.pi / 2, 20)
        arc = np.stack([np.cos(t), np.sin(t)], 1) * 0.62 * radius + middle
        self.hatch([*arc, middle], -np.pi / 4, 9)

    def rocket(self, middle: Point, half: float) -> None:
        """A rocket from the side, cut open on its right, standing on its fins."""
        up = np.linspace(0, 1, 40)
        wide = 0.22 * half * np.sin(np.pi * (0.12 + 0.88 * (1 - up)) * 0.62) ** 0.55
        top = middle[1] - half
        sides = {
            s: np.stack([middle[0] + s * (wide - wide[-1] * up**6), top + 2 * half * (1 - up) * 0.86], 1)
            for s in (-1, 1)
        }
        for side in sides.values():
            self.line(side, THICK)
        inner = sides[1].copy()
        inner[:, 0] -= 13
        self.line(inner[:-3], MIDDLE)
        self.hatch(np.concatenate([sides[1], inner[::-1]]))
        for k in (2, 9, 16, 22, 29, 33):
            self.line([sides[-1][k], sides[1][k]], MIDDLE, 14)
        for a, b in ((2, 9), (9, 16), (16, 22)):
            self.line([sides[-1][a], sides[1][b]], THIN)
            self.line([sides[-1][b], sides[1][a]], THIN)
        self.circle((middle[0], top + 0.58 * half), 0.1 * half, THICK)
        self.circle((middle[0], top + 0.58 * half), 0.07 * half, MIDDLE)
        foot = sides[1][0]
        for s in (-1, 1):
            fin = [(s, -0.42), (2.3, 0.0), (2.3, 0.26), (1, 0.06)]
            points = [(middle[0] + s * abs(u) * wide[0], foot[1] + v * half) for u, v in fin]
            self.line(points, THICK)
            self.hatch(points, -s * np.pi / 4, 14)
        for share in (-0.7, 0, 0.7):
            x = middle[0] + share * wide[0]
            self.line([(x - 10, foot[1]), (x - 20, foot[1] + 44), (x + 20, foot[1] + 44), (x + 10, foot[1])])
        self.axis((middle[0], top - 40), (middle[0], foot[1] + 90))

    def house(self, corner: Point, size: float) -> None:
        """The front of a house: roof, windows, a door."""

        def at(u: float, v: float) -> Point:
            return corner[0] + u * size, corner[1] + v * size

        self.line([at(0, 0), at(1, 0), at(1, 1), at(0, 1), at(0, 0)], THICK, 12)
        self.line([at(-0.14, 0.04), at(0.5, -0.5), at(1.14, 0.04)], THICK, 14)
        self.hatch([at(0, 0), at(0.5, -0.4), at(1, 0)], 0.0, 10)
        for u, v in ((0.12, 0.16), (0.6, 0.16), (0.12, 0.6)):
            self.line([at(u, v), at(u + 0.28, v), at(u + 0.28, v + 0.26), at(u, v + 0.26), at(u, v)], MIDDLE, 6)
            self.line([at(u + 0.14, v), at(u + 0.14, v + 0.26)], THIN)
        self.line([at(0.62, 1), at(0.62, 0.58), at(0.84, 0.58), at(0.84, 1)])

    def bridge(self, a: Point, b: Point, bays: int) -> None:
        """Girders with crossed struts."""
        (x0, y0), (x1, y1) = a, b
        xs = np.linspace(x0, x1, bays + 1)
        for y in (y0, y0 + 10, y1, y1 - 10):
            self.line([(x0, y), (x1, y)], THICK if y in (y0, y1) else THIN, 16)
        for left, right in pairwise(xs):
            self.line([(left, y0), (left, y1)])
            self.line([(left, y0), (right, y1)], MIDDLE)
            self.line([(left, y1), (right, y0)], MIDDLE)
            self.circle(((left + right) / 2, (y0 + y1) / 2), 8, MIDDLE)
        self.line([(x1, y0), (x1, y1)])
        self.hatch([(x0, y1), (x1, y1), (x1, y1 + 34), (x0, y1 + 34)])

    def spring(self, a: Point, b: Point, radius: float, turns: int) -> None:
        """A spring in two turns of wire, around its axis."""
        start, way = np.array(a, float), np.array(b, float) - a
        along = unit(way)
        across = np.array([-along[1], along[0]])
        t = np.linspace(0, 1, 2 * turns + 1)
        zigzag = start + t[:, None] * way + radius * np.where(np.arange(len(t)) % 2, 1, -1)[:, None] * across
        for shift in (-5, 5):
            self.line(zigzag + shift * along, MIDDLE)
        self.axis(tuple(start - 30 * along), tuple(start + way + 30 * along))

    def printed(self) -> Array:
        """The sheet as a cyanotype: a grid, worn lines, and paper that is uneven."""
        y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float32)
        grid = np.zeros(SHAPE, np.float32)
        for gap, strength, half in ((26, 0.2, 0.8), (130, 0.42, 1.2)):
            for place in (x, y):
                away = np.abs((place + gap / 2) % gap - gap / 2)
                grid = np.maximum(grid, strength * steps(-away, -half - 0.8, -half + 0.4))
        worn = np.clip(0.9 + 0.12 * fractal(SHAPE, 12), 0, 1)
        lines = self.lines / 255.0 * worn
        halo = blur(lines.astype(np.float32), 5)
        ink = np.maximum(lines, grid * worn)[..., None]
        depth = 1 + 0.1 * clouds(SHAPE, 150) + 0.06 * fractal(SHAPE, 24) + 0.04 * clouds(SHAPE, 2)
        paper = np.array([16, 62, 138]) * depth[..., None] + 26 * halo[..., None]
        return to_bytes(paper * (1 - ink) + np.array([226, 244, 252]) * ink)


def unit(way: Array) -> Array:
    return np.asarray(way / (np.linalg.norm(way) + 1e-9))
