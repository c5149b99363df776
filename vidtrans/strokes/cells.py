"""Cells and sheets: areas that fill the whole picture, such as mosaic stones, glass panes and cut papers.

A label map assigns each pixel of the guide to an area. Cells are temporally coherent superpixels: each moves with the
optical flow and towards the centroid of its area (Lloyd 1982; for oriented tiles, Hausner 2001), and follows the
picture's edges (Achanta et al. 2012). Sheets are the areas of the few colours to which a shot is quantised.
"""

from __future__ import annotations

import cv2
import numpy as np

from vidtrans.core.compiling import compiled
from vidtrans.strokes.kernels import (
    ALPHA,
    ANGLE,
    BACK,
    BEND,
    BLUE,
    FRONT,
    GREEN,
    LIFE_COLUMNS,
    NARROW,
    RED,
    Number,
    X,
    Y,
    f32,
    noise,
    sample3,
    sort_into_cells,
    wrap_half_turn,
)

MAX_CANDIDATES = 48  # Largest number of cells that are compared as owners of a block's pixels
HOLE = 0.95  # Distance to the nearest cell, in cell widths, above which a new cell is created
SHARE_MEMORY = 0.85  # Share of the previous frame's soft labels of sheets that is kept
HYSTERESIS = 0.1  # Distance, in cell widths, by which another cell must be nearer before a pixel changes its label


@compiled
def cell_distance(
    dx: Number, dy: Number, cos: Number, sin: Number, square: bool, shrink: Number, stretch: Number
) -> Number:
    """Return the length of the vector (dx, dy) in a rotated cell's coordinates, in cell widths.

    ``dx`` and ``dy`` are in cell widths. For ``square`` cells, rotated to (cos, sin), the length is about the longer of
    the components along and across the cell; ``shrink`` and ``stretch`` are the factors on them for its aspect ratio.
    """
    if square:
        along, aside = abs(cos * dx + sin * dy) * shrink, abs(cos * dy - sin * dx) * stretch
        return max(along, aside) + f32(0.15) * min(along, aside)
    return np.sqrt(dx * dx + dy * dy)


@compiled
def assign_labels(  # noqa: C901
    labels: np.ndarray,
    distances: np.ndarray,
    before: np.ndarray,
    life: np.ndarray,
    starts: np.ndarray,
    members: np.ndarray,
    across: int,
    down: int,
    picture: np.ndarray,
    step: int,
    rules: np.ndarray,
) -> None:
    """Assign every ``step``th pixel to a cell: labels (h, w) int32 (-1: none) and distances (h, w) in cell widths.

    Args:
        labels: Filled in place, like ``distances``.
        before: Previous labels, warped to this frame, (h, w) int32; (0, 0) in the first frame.
        life: See ``kernels.update_strokes``.
        starts: See ``kernels.sort_into_cells``, also for ``members``.
        across: Cells of the grid in a row; ``down``: rows of the grid.
        picture: (h, w, 3) float32.
        step: 1 for all pixels.
        rules: See ``advance_cells``.
    """
    height, width = labels.shape
    cell, square, weight, limit = rules[0], rules[1] > 0, rules[2], rules[3]
    has_past = before.size > 0
    stretch = rules[11]
    shrink = 1 / stretch
    block = max(2, int(cell * f32(0.3) * shrink))
    rings = 2 if stretch > f32(1.5) else 1
    candidates = np.empty(MAX_CANDIDATES, np.int32)
    near = np.empty(MAX_CANDIDATES, np.float32)
    c, s = np.cos(life[:, ANGLE]), np.sin(life[:, ANGLE])
    for top in range(0, height, block):
        for left in range(0, width, block):
            mx, my = left + f32(0.5) * block, top + f32(0.5) * block
            cx, cy = min(max(int(mx / cell), 0), across - 1), min(max(int(my / cell), 0), down - 1)
            best, n = f32(1e9), 0
            for ring in range(rings, rings + 2):
                best, n = f32(1e9), 0
                for j in range(max(cy - ring, 0), min(cy + ring + 1, down)):
                    first, last = max(cx - ring, 0), min(cx + ring, across - 1)
                    for k in range(starts[j * across + first], starts[j * across + last + 1]):
                        q = members[k]
                        if n == MAX_CANDIDATES:
                            break
                        dx, dy = (mx - life[q, X]) / cell, (my - life[q, Y]) / cell
                        d = cell_distance(dx, dy, c[q], s[q], square, shrink, stretch)
                        d = d / life[q, NARROW] + (1 - life[q, ALPHA]) * f32(0.7)
                        candidates[n], near[n] = q, d
                        n += 1
                        best = min(best, d)
                if n:
                    break
            slack = f32(1.7) * stretch * block / cell + f32(0.7) * weight + f32(HYSTERESIS)
            m = 0
            for k in range(n):
                if near[k] <= best + slack:
                    candidates[m] = candidates[k]
                    m += 1
            for j in range(top, min(top + block, height), step):
                for i in range(left, min(left + block, width), step):
                    x, y = i + f32(0.5), j + f32(0.5)
                    past = before[j, i] if has_past else -1
                    best, found, unbiased = f32(1e9), -1, f32(0)
                    for k in range(m):
                        q = candidates[k]
                        dx, dy = (x - life[q, X]) / cell, (y - life[q, Y]) / cell
                        d = cell_distance(dx, dy, c[q], s[q], square, shrink, stretch)
                        d = d / life[q, NARROW] + (1 - life[q, ALPHA]) * f32(0.7)
                        other = f32(0)
                        if weight > 0:
                            other = (
                                abs(picture[j, i, 0] - life[q, RED])
                                + abs(picture[j, i, 1] - life[q, GREEN])
                                + abs(picture[j, i, 2] - life[q, BLUE])
                            )
                        bare = d + min(weight, f32(0.5)) * other
                        d += weight * other
                        if q == past:
                            d -= f32(HYSTERESIS)
                        if d < best:
                            best, found, unbiased = d, q, bare
                    distances[j, i] = unbiased
                    labels[j, i] = found if unbiased < limit else -1


@compiled
def advance_cells(  # noqa: C901  (one loop, because Numba does not inline calls well)
    life: np.ndarray,
    ids: np.ndarray,
    dying: np.ndarray,
    next_id: int,
    salt: int,
    frame: int,
    flow: np.ndarray,
    picture: np.ndarray,
    lines: np.ndarray,
    placement: np.ndarray,
    fine: np.ndarray,
    before: np.ndarray,
    rules: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int, np.ndarray]:
    """Advance the cells of a layer by one frame, like ``kernels.update_strokes``; also return labels (h, w) int32.

    A cell is born in a hole, and dies where its area becomes too small.

    Args:
        life: See ``kernels.update_strokes``, also for the arguments up to ``fine``.
        picture: The colours that cells take on, and the edges that they follow, (h, w, 3) float32.
        before: The previous labels, (h, w) int32; (0, 0) in the first frame.
        rules: (12,) float32: 0 cell size, 1 whether cells are square, 2 weight of the colour, 3 distance beyond which a
            pixel belongs to no cell, 4 placement below which a cell dies, 5 adaptation of the colour per frame, 6
            adaptation of the angle per frame, 7 change of opacity per frame while fading, 8 σ of the angle, 9 share of
            the distance to its centroid that a cell moves per frame, 10 Lloyd iterations in the first frame, 11 square
            root of the aspect ratio of square cells.
    """
    height, width = picture.shape[:2]
    cell = rules[0]
    across, down = int(np.ceil(width / cell)), int(np.ceil(height / cell))
    first = flow.size == 0
    has_placement, has_fine = placement.size > 0, fine.size > 0
    lx, ly = f32(lines.shape[1]) / width, f32(lines.shape[0]) / height
    if first:
        life = np.empty((across * down, LIFE_COLUMNS), np.float32)
        ids = np.empty(across * down, np.int64)
        dying = np.zeros(across * down, np.uint8)
        n = 0
        for at in range(across * down):
            x = (at % across + f32(0.25) + f32(0.5) * noise(salt, at, 0)) * cell
            y = (at // across + f32(0.25) + f32(0.5) * noise(salt, at, 1)) * cell
            i, j = int(x), int(y)
            if i >= width or j >= height or (has_placement and placement[j, i] <= 0):
                continue
            add_cell(life, n, x, y, picture, lines, lx, ly, f32(1))
            ids[n] = next_id
            next_id += 1
            n += 1
        life, ids, dying = life[:n], ids[:n], dying[:n]
    labels = np.full((height, width), -1, np.int32)
    distances = np.zeros((height, width), np.float32)
    past = np.full((height, width) if not first else (0, 0), -1, np.int32)
    if not first:
        for q in range(len(life)):
            i = min(max(int(life[q, X]), 0), width - 1)
            j = min(max(int(life[q, Y]), 0), height - 1)
            life[q, X] += flow[j, i, 0]
            life[q, Y] += flow[j, i, 1]
        for j in range(height):
            for i in range(width):
                x, y = int(i + f32(0.5) - flow[j, i, 0]), int(j + f32(0.5) - flow[j, i, 1])
                if 0 <= x < width and 0 <= y < height:
                    past[j, i] = before[y, x]
    rounds = int(rules[10]) if first else 1
    best = np.zeros(across * down, np.float32)
    place = np.zeros((across * down, 2), np.float32)
    for now in range(rounds):
        is_last = now == rounds - 1
        step = 1 if is_last else 2
        starts, members = sort_into_cells(life, dying, cell, across, down)
        assign_labels(labels, distances, past, life, starts, members, across, down, picture, step, rules)
        n = len(life)
        sums = np.zeros((n, 6), np.float32)
        best[:] = 0
        for j in range(0, height, step):
            for i in range(0, width, step):
                q = labels[j, i]
                if not has_placement or placement[j, i] > 0:
                    at = int(j / cell) * across + int(i / cell)
                    if distances[j, i] > best[at]:
                        best[at], place[at, 0], place[at, 1] = distances[j, i], i, j
                if q < 0:
                    continue
                sums[q, 0] += 1
                sums[q, 1] += i + f32(0.5)
                sums[q, 2] += j + f32(0.5)
                sums[q, 3] += picture[j, i, 0]
                sums[q, 4] += picture[j, i, 1]
                sums[q, 5] += picture[j, i, 2]
        share, follow = (f32(0.8), f32(1)) if first else (rules[9], rules[5])
        turn = f32(1) if first else rules[6]
        for q in range(n):
            area = sums[q, 0] * step * step
            narrow = life[q, NARROW]
            if area > 0:
                life[q, RED] += (sums[q, 3] / sums[q, 0] - life[q, RED]) * follow
                life[q, GREEN] += (sums[q, 4] / sums[q, 0] - life[q, GREEN]) * follow
                life[q, BLUE] += (sums[q, 5] / sums[q, 0] - life[q, BLUE]) * follow
            if area < f32(0.16) * (cell * narrow) ** 2 and life[q, ALPHA] > f32(0.99):
                dying[q] = 1
            elif has_placement:
                i = min(max(int(life[q, X]), 0), width - 1)
                j = min(max(int(life[q, Y]), 0), height - 1)
                if placement[j, i] < rules[4]:
                    dying[q] = 1
            if area > 0 and not (first and is_last):
                life[q, X] += (sums[q, 1] / sums[q, 0] - life[q, X]) * share
                life[q, Y] += (sums[q, 2] / sums[q, 0] - life[q, Y]) * share
            x, y = life[q, X], life[q, Y]
            c2, s2, _ = sample3(lines, x * lx - f32(0.5), y * ly - f32(0.5))
            stray = (noise(salt, ids[q], 11) + noise(salt, ids[q], 12) - f32(1)) * f32(2.45)
            wanted = f32(0.5) * np.arctan2(s2, c2) + stray * rules[8]
            change = wrap_half_turn(wanted - life[q, ANGLE])
            if rules[1] > 0 and rules[11] < f32(1.1):
                change = wrap_half_turn(2 * change) * f32(0.5)  # A square is symmetric under 90°
            life[q, ANGLE] += change * turn
            if has_fine:
                i, j = min(max(int(x), 0), width - 1), min(max(int(y), 0), height - 1)
                life[q, NARROW] += (1 - f32(0.5) * fine[j, i] - narrow) * turn
        if first and is_last:
            break
        # New cells: at most one in each square of the grid, and none in neighbouring squares
        births = np.zeros(across * down, np.uint8)
        extra = 0
        for at in range(across * down):
            if best[at] > f32(HOLE):
                has_neighbour = False
                ax, ay = at % across, at // across
                for j in range(max(ay - 1, 0), min(ay + 2, down)):
                    for i in range(max(ax - 1, 0), min(ax + 2, across)):
                        has_neighbour = has_neighbour or births[j * across + i] > 0
                if not has_neighbour:
                    births[at] = 1
                    extra += 1
        new_life = np.empty((n + extra, LIFE_COLUMNS), np.float32)
        new_ids = np.empty(n + extra, np.int64)
        next_dying = np.zeros(n + extra, np.uint8)
        moved = np.full(n + 1, -1, np.int32)
        m = 0
        for q in range(n):
            alpha = life[q, ALPHA] + (-rules[7] if dying[q] else rules[7])
            outside = not (-cell < life[q, X] < width + cell and -cell < life[q, Y] < height + cell)
            if alpha <= f32(1e-4) or outside or (first and dying[q]):
                continue
            new_life[m] = life[q]
            new_life[m, ALPHA] = min(alpha, f32(1))
            new_ids[m], next_dying[m] = ids[q], dying[q]
            moved[q] = m
            m += 1
        for at in range(across * down):
            if births[at]:
                add_cell(new_life, m, place[at, 0], place[at, 1], picture, lines, lx, ly, f32(1) if first else rules[7])
                new_ids[m] = next_id
                next_id += 1
                m += 1
        life, ids, dying = new_life[:m], new_ids[:m], next_dying[:m]
        if is_last:
            for j in range(height):
                for i in range(width):
                    labels[j, i] = moved[labels[j, i]]  # The last entry of ``moved`` is -1, for pixels without a cell
    return life, ids, dying, next_id, labels


@compiled
def add_cell(
    life: np.ndarray,
    q: int,
    x: Number,
    y: Number,
    picture: np.ndarray,
    lines: np.ndarray,
    lx: Number,
    ly: Number,
    alpha: Number,
) -> None:
    """Write a new cell at (x, y) to row ``q`` of ``life``, with the direction and colour of the picture there.

    ``lx`` and ``ly``: pixels of the direction field ``lines`` per picture pixel. ``alpha``: the opacity of the cell.
    """
    c2, s2, _ = sample3(lines, x * lx - f32(0.5), y * ly - f32(0.5))
    i, j = int(x), int(y)
    life[q, X], life[q, Y], life[q, ALPHA] = x, y, alpha
    life[q, ANGLE] = f32(0.5) * np.arctan2(s2, c2)
    life[q, RED], life[q, GREEN], life[q, BLUE] = picture[j, i, 0], picture[j, i, 1], picture[j, i, 2]
    life[q, BEND], life[q, FRONT], life[q, BACK], life[q, NARROW] = 0, 1, 1, 1


@compiled
def has_uniform_neighbours(
    labels: np.ndarray, own: int, y: int, x: int, up: int, low: int, left: int, right: int
) -> bool:
    """Return whether all eight neighbours of pixel (y, x) have the label ``own``.

    The neighbours are in the rows ``up``, y and ``low``, and in the columns ``left``, x and ``right``.
    """
    upper = labels[up, left] == own and labels[up, x] == own and labels[up, right] == own
    lower = labels[low, left] == own and labels[low, x] == own and labels[low, right] == own
    return bool(upper and lower and labels[y, left] == own and labels[y, right] == own)


@compiled
def add_vote(names: np.ndarray, counts: np.ndarray, n: int, one: int, share: Number) -> int:
    """Add ``share`` to the votes for the label ``one``, if there is room for it; return the new number of labels.

    ``names`` and ``counts``: the labels and their votes, changed in place. ``n``: the number of labels so far.
    """
    at = 0
    while at < n and names[at] != one:
        at += 1
    if at < n:
        counts[at] += share
    elif n < len(names):
        names[n], counts[n] = one, share
        n += 1
    return n


@compiled
def majority_filter(labels: np.ndarray, radius: int) -> np.ndarray:
    """Replace each label of (h, w) by the most frequent label within ``radius`` pixels, which smooths the borders."""
    height, width = labels.shape
    made = labels.copy()
    names, counts = np.empty(12, np.int32), np.empty(12, np.float32)
    most, step = f32((radius + 1) ** 2), 1 if radius < 3 else 2
    for j in range(height):
        up, low = max(j - radius, 0), min(j + radius, height - 1)
        for i in range(width):
            left, right, own = max(i - radius, 0), min(i + radius, width - 1), labels[j, i]
            if has_uniform_neighbours(labels, own, j, i, up, low, left, right):
                continue
            names[0], counts[0], n = own, most, 1
            for y in range(up, low + 1, step):
                for x in range(left, right + 1, step):
                    share = most - (y - j) * (y - j) - (x - i) * (x - i)
                    if share <= 0:
                        continue
                    n = add_vote(names, counts, n, labels[y, x], share)
            best = f32(-1)
            for at in range(n):
                if counts[at] > best:
                    best, made[j, i] = counts[at], names[at]
    return made


@compiled
def enlarge_labels(  # noqa: C901
    band: np.ndarray, top: int, labels: np.ndarray, to_guide: Number
) -> None:
    """Fill a band (rows, W) int32 of full-size labels from the smaller guide's labels (h, w), with smooth borders.

    Args:
        band: Filled in place.
        top: The number of its first row, which may be outside the picture.
        labels: (h, w) int32.
        to_guide: Guide pixels per result pixel.
    """
    height, width = labels.shape
    names, counts = np.empty(9, np.int32), np.empty(9, np.float32)
    for row in range(band.shape[0]):
        v = (top + row + f32(0.5)) * to_guide
        j = min(max(int(np.floor(v)), 0), height - 1)
        fv = min(max(v - j, f32(0)), f32(1))
        up, low = max(j - 1, 0), min(j + 1, height - 1)
        for i in range(band.shape[1]):
            u = (i + f32(0.5)) * to_guide
            x = min(int(u), width - 1)
            left, right, own = max(x - 1, 0), min(x + 1, width - 1), labels[j, x]
            band[row, i] = own
            if to_guide >= f32(0.99) or has_uniform_neighbours(labels, own, j, x, up, low, left, right):
                continue
            fu = min(max(u - x, f32(0)), f32(1))
            n = 0
            for b in range(3):
                wb = f32(0.5) * (1 - fv) ** 2
                if b == 1:
                    wb = f32(0.75) - (fv - f32(0.5)) ** 2
                elif b == 2:
                    wb = f32(0.5) * fv**2
                for a in range(3):
                    wa = f32(0.5) * (1 - fu) ** 2
                    if a == 1:
                        wa = f32(0.75) - (fu - f32(0.5)) ** 2
                    elif a == 2:
                        wa = f32(0.5) * fu**2
                    one = labels[min(max(j + b - 1, 0), height - 1), min(max(x + a - 1, 0), width - 1)]
                    n = add_vote(names, counts, n, one, wa * wb)
            best = f32(-1)
            for at in range(n):
                if counts[at] > best:
                    best, band[row, i] = counts[at], names[at]


def border_distance(labels: np.ndarray, least: float) -> np.ndarray:
    """Return each pixel's distance to the border of its area, (h, w) float32 pixels.

    Distances are clipped to ``least`` + 2, because only those up to ``least`` are needed.
    """
    inner = np.ones(labels.shape, np.uint8)
    differ = labels[1:] != labels[:-1]
    inner[1:][differ] = 0
    inner[:-1][differ] = 0
    differ = labels[:, 1:] != labels[:, :-1]
    inner[:, 1:][differ] = 0
    inner[:, :-1][differ] = 0
    distance = cv2.distanceTransform(inner, cv2.DIST_L2, cv2.DIST_MASK_5)
    distance = np.minimum(distance + np.float32(0.5), np.float32(least + 2))
    return cv2.GaussianBlur(distance, (3, 3), 0)


@compiled
def render_areas(  # noqa: C901  (one loop, because Numba does not inline calls well)
    paint: np.ndarray,
    bare: np.ndarray,
    top: int,
    labels: np.ndarray,
    distance: np.ndarray,
    above: int,
    areas: np.ndarray,
    ranks: np.ndarray,
    picture: np.ndarray,
    grain: np.ndarray,
    params: np.ndarray,
) -> None:
    """Render the cells or sheets of a band of rows, with joints, bevels and shadows.

    Args:
        paint: See ``kernels.rasterise``, also for ``bare`` and ``top``.
        labels: The result's labels, with ``above`` more rows on either side.
        distance: See ``border_distance``; of the same shape as ``labels``.
        areas: A draw list, see ``kernels.draw_list``, in the order of the labels.
        ranks: (n,) float32; an area throws its shadow on areas of lower rank.
        picture: (h, w, 3) float32.
        grain: (N, N) float32, streaks inside an area.
        params: (16,) float32: 0 half width of the joint, 1 width of the slope, 2 share of the picture inside, 3
            opacity, 4 length and 5 darkness of shadows, 6 guide pixels per result pixel, 7 whether the joint is
            painted, 8-10 its colour, 11 height of its ridge, 12 darkening at the rim, 13 tilt towards the light, 14
            strength of the streaks, 15 twist of threads, 0 for none.
    """
    height, width = bare.shape
    gap, bevel, inside, opacity = params[0], params[1], params[2], params[3]
    reach, dark, to_guide, has_joint = params[4], params[5], params[6], params[7] > 0
    lift, rim, tilt, streaks, twist = params[11], params[12], params[13], params[14], params[15]
    tile = len(grain)
    for row in range(height):
        y = top + row + f32(0.5)
        for i in range(width):
            own = labels[row + above, i]
            left = bare[row, i]
            if own < 0 or left < f32(0.02):
                continue
            x = i + f32(0.5)
            d = distance[row + above, i]
            cover = min(max(d - gap + f32(0.5), f32(0)), f32(1)) if gap > 0 else f32(1)
            slope = min(max((d - gap) / bevel, f32(0)), f32(1)) if bevel > 0 else f32(1)
            slope = slope * (2 - slope)
            if twist > 0:
                dx, dy = x - areas[own, 0], y - areas[own, 1]
                along = (areas[own, 2] * dx + areas[own, 3] * dy) / areas[own, 6]
                aside = (areas[own, 2] * dy - areas[own, 3] * dx) / areas[own, 6]
                round_ = max(1 - f32(0.8) * aside * aside, f32(0))
                slope *= round_ * (1 - twist * (f32(0.5) + f32(0.5) * np.cos(f32(4) * along + f32(2.2) * aside)))
            r, g, b = areas[own, 9], areas[own, 10], areas[own, 11]
            if inside > 0:
                r1, g1, b1 = sample3(picture, x * to_guide - f32(0.5), y * to_guide - f32(0.5))
                r, g, b = r + (r1 - r) * inside, g + (g1 - g) * inside, b + (b1 - b) * inside
            shade = 1 - rim * (1 - slope)
            if tilt > 0 or streaks > 0:
                dx, dy = x - areas[own, 0], y - areas[own, 1]
                if tilt > 0:
                    one, two = 2 * areas[own, 13] - 1, 2 * (7 * areas[own, 13] - np.floor(7 * areas[own, 13])) - 1
                    across = (one * dx + two * dy) / areas[own, 6]
                    shade *= 1 + tilt * min(max(across, f32(-1.5)), f32(1.5))
                if streaks > 0:
                    cos, sin = areas[own, 2], areas[own, 3]
                    u = int(f32(0.22) * (cos * dx + sin * dy) + areas[own, 13] * 4096)
                    v = int(f32(0.8) * (cos * dy - sin * dx) + areas[own, 13] * 1777)
                    shade *= 1 + streaks * (grain[v % tile, u % tile] - f32(0.5))
            if reach > 0 and d < reach * f32(1.6):
                hidden = 0
                for n in range(12):
                    t = f32(0.25) + f32(0.75) * ((n % 4) + f32(0.5)) * f32(0.25)
                    aside = (n // 4 - 1) * f32(0.3) * t
                    sx = min(max(int(x - reach * (t - aside)), 0), width - 1)
                    sy = min(max(int(row + above - reach * (t + aside) + f32(0.5)), 0), labels.shape[0] - 1)
                    other = labels[sy, sx]
                    hidden += other >= 0 and ranks[other] > ranks[own]
                shade *= 1 - dark * hidden * f32(1 / 12)
            a = cover * opacity * left
            paint[row, i, 0] += a * r * shade
            paint[row, i, 1] += a * g * shade
            paint[row, i, 2] += a * b * shade
            paint[row, i, 3] += a * (slope + areas[own, 12])
            if has_joint:
                rest = (1 - cover) * left
                raised = lift * np.sqrt(max(1 - (d / gap) ** 2, f32(0)))
                paint[row, i, 0] += rest * params[8]
                paint[row, i, 1] += rest * params[9]
                paint[row, i, 2] += rest * params[10]
                paint[row, i, 3] += rest * raised
                a += rest
            bare[row, i] = left - a


def cluster_colours(picture: np.ndarray, number: int) -> np.ndarray:
    """Return the ``number`` main colours of a picture (h, w, 3) float32: (number, 3), the darkest first.

    k-means with farthest-point initialisation, so that rare, strong colours get a cluster.
    """
    small = cv2.resize(picture, (96, 64), interpolation=cv2.INTER_AREA).reshape(-1, 3)
    places = perceptual_colours(small)
    centres = [places.mean(0)]
    nearest = ((places - centres[0]) ** 2).sum(1)
    for _ in range(number - 1):
        chosen = places[int(np.argmax(nearest))]
        centres.append(chosen)
        nearest = np.minimum(nearest, ((places - chosen) ** 2).sum(1))
    made = np.stack(centres)
    for _ in range(8):
        owner = np.argmin(((places[:, None] - made[None]) ** 2).sum(2), 1)
        for k in range(number):
            if (owner == k).any():
                made[k] = places[owner == k].mean(0)
    owner = np.argmin(((places[:, None] - made[None]) ** 2).sum(2), 1)
    colours = np.stack([small[owner == k].mean(0) if (owner == k).any() else (0, 0, 0) for k in range(number)])
    return colours[np.argsort(colours @ np.array([0.299, 0.587, 0.114]), kind="stable")].astype(np.float32)


def perceptual_colours(picture: np.ndarray) -> np.ndarray:
    """Convert RGB colours (…, 3) to a roughly perceptual space: lightness and two colour differences."""
    red, green, blue = picture[..., 0], picture[..., 1], picture[..., 2]
    light = 0.299 * red + 0.587 * green + 0.114 * blue
    return np.stack([1.2 * light, 1.6 * (red - light), 1.2 * (blue - light)], -1).astype(np.float32)


def label_sheets(
    picture: np.ndarray, colours: np.ndarray, before: np.ndarray, flow: np.ndarray, blur: float, detail: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Assign each pixel to one of ``colours`` (n, 3), with smooth borders; return labels (h, w) and soft labels.

    Args:
        picture: (h, w, 3) float32.
        colours: See ``cluster_colours``.
        before: The soft labels of the previous frame, (n, h/2, w/2) float32; (0, 0, 0) in the first frame.
        flow: The motion since then, (h, w, 2).
        blur: σ of the border smoothing, in pixels.
        detail: (h, w) float32 in [0, 1]; where it is 1, the smoothing is a third of that.
    """
    height, width = picture.shape[:2]
    size = (max(1, width // 2), max(1, height // 2))
    small = perceptual_colours(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
    shares = np.stack([-((small - colour) ** 2).sum(2) for colour in perceptual_colours(colours)])
    shares -= shares.max(0)
    np.exp(shares * np.float32(160), out=shares)
    shares /= shares.sum(0)
    fine = cv2.resize(detail, size, interpolation=cv2.INTER_AREA)
    if before.size:
        there = cv2.resize(flow, size, interpolation=cv2.INTER_AREA) * np.float32(0.5)
        rows, columns = np.indices(size[::-1], np.float32)
        x, y = columns - there[..., 0], rows - there[..., 1]
    for k, share in enumerate(shares):
        broad = cv2.GaussianBlur(share, (0, 0), max(0.6, blur / 2))
        sharp = cv2.GaussianBlur(share, (0, 0), max(0.5, blur / 6))
        shares[k] = broad + (sharp - broad) * fine
        if before.size:
            past = cv2.remap(before[k], x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            shares[k] += np.float32(SHARE_MEMORY) * (past - shares[k])
    labels = np.empty((height, width), np.int32)
    upsample_argmax(labels, shares, np.argmax(shares, 0).astype(np.int32))
    return labels, shares


@compiled
def upsample_argmax(labels: np.ndarray, shares: np.ndarray, best: np.ndarray) -> None:
    """Write the argmax over n of upsampled ``shares`` (n, h', w') to ``labels`` (h, w) int32.

    ``best``: the argmax of the shares at their own size, (h', w').
    """
    height, width = labels.shape
    rows, columns = best.shape
    for j in range(height):
        v = min(max((j + f32(0.5)) * rows / height - f32(0.5), f32(0)), f32(rows - 1))
        y = int(v)
        y1, b = min(y + 1, rows - 1), f32(v - y)
        for i in range(width):
            u = min(max((i + f32(0.5)) * columns / width - f32(0.5), f32(0)), f32(columns - 1))
            x = int(u)
            x1, a = min(x + 1, columns - 1), f32(u - x)
            own = best[y, x]
            labels[j, i] = own
            if best[y, x1] == own and best[y1, x] == own and best[y1, x1] == own:
                continue
            most = f32(-1)
            for k in range(len(shares)):
                upper = shares[k, y, x] * (1 - a) + shares[k, y, x1] * a
                share = upper * (1 - b) + (shares[k, y1, x] * (1 - a) + shares[k, y1, x1] * a) * b
                if share > most:
                    most, labels[j, i] = share, k
