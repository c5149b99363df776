"""Tables of results as RESULTS.md has them, which goals are met, and sheets of pictures."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.unpaired.contenders import COLOURS, UNTRAINED, Bench
from benchmarks.unpaired.scenes import Scene
from vidtrans.core.settings import Table
from vidtrans.video.images.picture import write_picture
from vidtrans.video.plots.layout import ContactSheet, cell_size

COLUMNS = ("steps", "seconds", "psnr", "ssim", "sharp", "gfd", "light", "warp", "window", "floor", "removed")
DIGITS = {"steps": 0, "seconds": 0, "psnr": 1}
ROWS, CELL = 4, 320  # of a sheet; pixels
SHARP = (0.85, 1.15)  # within which warping errors are compared: blur does not flicker
Found = dict[str, list[Table]]  # of each contender, a table a seed


def table_of(scene: str, found: Found) -> str:
    """Return a scene's results as a table: means over seeds, ± half of what lies between them."""
    columns = [c for c in COLUMNS if any(c in tables[0] for tables in found.values())]
    lines = [f"| {scene} | " + " | ".join(columns) + " |", "|" + "---|" * (len(columns) + 1)]
    for name, tables in found.items():
        lines.append(f"| {name} | " + " | ".join(_cell([t.get(c) for t in tables], c) for c in columns) + " |")
    return "\n".join(lines) + "\n"


def _cell(values: Sequence[float | None], column: str) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    digits = DIGITS.get(column, 2)
    spread = (max(known) - min(known)) / 2
    return f"{statistics.mean(known):.{digits}f}" + (f" ±{spread:.{digits}f}" if len(known) > 1 else "")


class Goals:
    """The goals, as far as what was measured tells of them. ``results``: of each scene, by name."""

    def __init__(self, results: dict[str, Found], kinds: dict[str, str], ours: Sequence[str], plain: str) -> None:
        self._results, self._kinds, self._ours, self._plain = results, kinds, ours, plain

    def lines(self) -> list[str]:
        """Return a line for each goal of each scene."""
        found: list[str] = []
        for scene, results in self._results.items():
            tell: Callable[[str, Found], list[str]] = {
                "edges": self._edges,
                "look": self._look,
                "pictures": self._pictures,
                "far": self._far,
            }[self._kinds[scene]]
            found += tell(scene, results)
        return found

    def _best(self, results: Found, names: Sequence[str]) -> str | None:
        known = [name for name in names if name in results]
        return max(known, key=lambda name: _mean(results, name, "psnr")) if known else None

    def _edges(self, scene: str, results: Found) -> list[str]:
        if (best := self._best(results, self._ours)) is None:
            return []
        db = _mean(results, best, "psnr")
        lines = [*self._steady(scene, results)]
        for name, words, least in (("mean", "over the mean picture", 8.0), ("paired", "over paired training", -3.0)):
            if name in results:
                gain = db - _mean(results, name, "psnr")
                lines.append(verdict(f"{scene}, {best}: dB {words}, ≥ {least:g}", gain, gain >= least))
        return lines + self._over_theirs(scene, best, results)

    def _over_theirs(self, scene: str, best: str, results: Found) -> list[str]:
        theirs = self._best(results, [name for name in results if name.startswith("their-cyclegan")])
        if theirs is None:
            return []
        gain = _mean(results, best, "psnr") - _mean(results, theirs, "psnr")
        return [verdict(f"{scene}, {best}: dB over {theirs}, ≥ 3", gain, gain >= 3)]

    def _look(self, scene: str, results: Found) -> list[str]:
        if (best := self._best(results, self._ours)) is None:
            return []
        lines = self._steady(scene, results)
        if colours := self._best(results, list(COLOURS)):
            gain = _mean(results, best, "psnr") - _mean(results, colours, "psnr")
            nearer = _mean(results, best, "ssim") - _mean(results, colours, "ssim")
            lines.append(verdict(f"{scene}, {best}: dB over the colour map, ≥ 2", gain, gain >= 2))
            lines.append(verdict(f"{scene}, {best}: SSIM over the colour map's, ≥ 0", nearer, nearer >= 0))
        return lines + self._over_theirs(scene, best, results)

    def _pictures(self, scene: str, results: Found) -> list[str]:
        best = self._best(results, self._ours)
        return [] if best is None else self._over_theirs(scene, best, results)

    def _far(self, scene: str, results: Found) -> list[str]:
        known = [name for name in self._ours if name in results]
        lights = {name: min(t["light"] for t in results[name]) for name in known}
        return [verdict(f"{scene}, {n}: light follows the source's, > 0", v, v > 0) for n, v in lights.items()]

    def _steady(self, scene: str, results: Found) -> list[str]:
        """Compare warping errors where pictures are neither blurred nor too crisp."""
        lines = []
        for name in self._ours:
            if name not in results:
                continue
            sharp = _mean(results, name, "sharp")
            if all("removed" in table for table in results[name]):
                gone = _mean(results, name, "removed")
                lines.append(
                    verdict(f"{scene}, {name}: share of flicker that is filtered out, ≥ .9", gone, gone >= 0.9)
                )
            if name != self._plain and self._plain in results:
                ratio = _mean(results, name, "warp") / _mean(results, self._plain, "warp")
                met = ratio <= 0.8 and SHARP[0] <= sharp <= SHARP[1]
                lines.append(
                    verdict(f"{scene}, {name}: warp over {self._plain}'s, ≤ .8 (sharp {sharp:.2f})", ratio, met)
                )
        return lines


def _mean(results: Found, name: str, column: str) -> float:
    return statistics.mean(table[column] for table in results[name])


def verdict(words: str, value: float, met: bool) -> str:
    """Return a line that tells whether a goal is met."""
    return f"{words:74} {value:7.2f}  {'met' if met else 'NOT MET'}"


def draw(bench: Bench, scene: Scene, names: Sequence[str], path: Path, steps: int | None = None) -> None:
    """Write a sheet of some inputs, what each contender makes of them with the first seed, and the truth."""
    inputs = [picture for stretch in scene.tests for picture in stretch.inputs]
    truths = [truth for stretch in scene.tests for truth in stretch.truths]
    columns = {"input": inputs}
    for name in names:
        columns[name] = bench.pictures(name, scene, 0, None if name in UNTRAINED else steps)
    if truths:
        columns["truth"] = truths
    chosen = [(2 * k + 1) * len(inputs) // (2 * ROWS) for k in range(ROWS)]
    rows = [[pictures[n] for pictures in columns.values()] for n in chosen]
    write_picture(path, ContactSheet(scene.name, rows, cell_size(rows[0][0], CELL), tuple(columns)).draw())
