"""Draw the rooms of the package and which imports which, as an SVG for the architecture page.

An arrow that others imply is left out: where A imports B and B imports C, there is none from A to C. Rooms of one row
do not need each other.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import vidtrans

ROOMS = ("session",)  # single files
WIDTH, HEIGHT, ACROSS, DOWN, MARGIN = 118, 44, 24, 46, 16  # of a box, between boxes, around all; in pixels
STYLE = """<style>
rect { fill: #eef2fb; stroke: #4a63a9; rx: 6 }
path { fill: none; stroke: #7a8cc0; stroke-width: 1.4 }
text { font: 600 14px system-ui, sans-serif; text-anchor: middle; fill: #1c2540 }
.small { font-weight: 400; font-size: 11px; fill: #55607f }
</style>"""


def draw(package: Path) -> str:
    """Return the SVG of a package's rooms."""
    files = {room: list(paths) for room, paths in _rooms(package)}
    below = reduced(imports(files, package))
    rows, arrows = _rows(below)
    lengths = [sum(_width(item) + ACROSS for item in row) - ACROSS for row in rows]
    whole, height = 2 * MARGIN + max(lengths), 2 * MARGIN + len(rows) * (HEIGHT + DOWN) - DOWN
    at: dict[str, tuple[float, float]] = {}
    for y, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        x = (whole - length) / 2
        for item in row:
            at[item] = (x + _width(item) / 2, MARGIN + y * (HEIGHT + DOWN))
            x += _width(item) + ACROSS
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole:g} {height}">', STYLE]
    parts += ['<rect width="100%" height="100%" style="fill: #fff; stroke: none"/>']
    parts += [_arrow([at[item] for item in arrow]) for arrow in arrows]
    parts += [_box(room, at[room], files[room]) for room in at if room in files]
    return "\n".join([*parts, "</svg>", ""])


def _width(item: str) -> int:
    return WIDTH if " " not in item else 0


def _rooms(package: Path) -> Iterator[tuple[str, Iterator[Path]]]:
    for name in ROOMS:
        yield name, iter([package / f"{name}.py"])
    for folder in sorted(p for p in package.iterdir() if (p / "__init__.py").is_file()):
        yield folder.name, folder.rglob("*.py")


def imports(files: dict[str, list[Path]], package: Path) -> dict[str, set[str]]:
    """Return for each room the other rooms that its files import; the package's public names count as the library's."""
    found: dict[str, set[str]] = {}
    for room, paths in files.items():
        names: set[str] = set()
        for path in paths:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == package.name:
                    parts = (node.module or "").split(".")
                    public = {"library" if alias.name in vidtrans.LIBRARY else alias.name for alias in node.names}
                    names |= {parts[1]} if len(parts) > 1 else public
        found[room] = names & set(files) - {room}
    return found


def reduced(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return a graph without circles less the edges that others imply."""
    reach: dict[str, set[str]] = {}

    def beyond(room: str) -> set[str]:
        if room not in reach:
            reach[room] = graph[room].union(*(beyond(other) for other in graph[room]))
        return reach[room]

    return {room: others - set().union(*(beyond(other) for other in others)) for room, others in graph.items()}


def _rows(below: dict[str, set[str]]) -> tuple[list[list[str]], list[list[str]]]:
    """Return the rooms in rows, each above all that it imports, and the items that each arrow passes.

    An arrow over several rows takes a place in each row between ("from to row"), so that it passes no box.
    """
    depth: dict[str, int] = {}

    def depth_of(room: str) -> int:
        if room not in depth:
            depth[room] = 1 + max((depth_of(r) for r in below if room in below[r]), default=-1)
        return depth[room]

    rows: list[list[str]] = [[] for _ in range(1 + max(depth_of(room) for room in below))]
    for room in sorted(below):
        rows[depth[room]].append(room)
    arrows = []
    for room, other in sorted((upper, lower) for upper in below for lower in below[upper]):
        places = [f"{room} {other} {y}" for y in range(depth[room] + 1, depth[other])]
        arrows.append([room, *places, other])
        for y, place in enumerate(places, depth[room] + 1):
            rows[y].append(place)
    joined: dict[str, list[str]] = {item: [] for row in rows for item in row}
    for arrow in arrows:
        for one, next_one in pairwise(arrow):
            joined[one].append(next_one)
            joined[next_one].append(one)
    for _ in range(12):
        for row in rows:
            place = {item: x - (len(r) - 1) / 2 for r in rows for x, item in enumerate(r)}
            row.sort(key=lambda item: sum(place[other] for other in joined[item]) / max(1, len(joined[item])))
    return rows, arrows


def _arrow(points: Sequence[tuple[float, float]]) -> str:
    """Return a curve from the bottom of the first box, past the middles of those between, to the top of the last."""
    path = f"M{points[0][0]:g} {points[0][1] + HEIGHT}"
    for number, ((x, y), (to_x, to_y)) in enumerate(pairwise(points), 1):
        bend = DOWN / 2
        path += f" C{x:g} {y + HEIGHT + bend:g} {to_x:g} {to_y - bend:g} {to_x:g} {to_y}"
        if number < len(points) - 1:
            path += f" L{to_x:g} {to_y + HEIGHT}"
    return f'<path d="{path}"/>'


def _box(room: str, at: tuple[float, float], paths: list[Path]) -> str:
    middle, y = at
    count = f"{len(paths)} files" if len(paths) > 1 else "1 file"
    return (
        f'<rect x="{middle - WIDTH / 2:g}" y="{y}" width="{WIDTH}" height="{HEIGHT}"/>'
        f'<text x="{middle:g}" y="{y + 19}">{room}</text>'
        f'<text class="small" x="{middle:g}" y="{y + 35}">{count}</text>'
    )
