"""Numba kernels over strokes and pixels: update the strokes for a frame, rasterise them, and composite the picture.

All functions release the interpreter's lock and give the same numbers for any division into bands of rows. Compiled
code is cached on disk, so that only the first painted picture on a machine waits for the compiler. Pictures are float32
in [0, 1]. Positions and lengths in the stroke table ``life`` are in pixels of the guide, those in a draw list in pixels
of the result.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import numpy as np

from vidtrans.core.compiling import compiled

Number = Any  # Type of scalar arguments, which are float32 in compiled code
f32: Any = np.float32  # Short name of the scalar type in compiled code

# float32 constants of compiled code; as named constants they halve the compile time.
ZERO, HALF, ONE = f32(0), f32(0.5), f32(1)
HALF_TURN, QUARTER = f32(np.pi), f32(np.pi / 2)
OF_RED, OF_GREEN, OF_BLUE = f32(0.299), f32(0.587), f32(0.114)
TINY, TENTH, FIFTH, THIRDS = f32(1e-4), f32(0.1), f32(0.2), f32(0.66)
MAX_END_ANGLE = f32(1.4)  # Angle in radians between a stroke's ends above which they belong to two shapes
UNIT_STD = f32(2.45)  # Factor that gives the sum of two uniform numbers in [0, 1) a standard deviation of 1
UNIT24 = f32(1 / 2**24)  # Factor from a 24-bit integer to [0, 1)

# Indices of the columns of ``life``, the table of strokes
X, Y, ANGLE, ALPHA, RED, GREEN, BLUE, BEND, FRONT, BACK, NARROW = range(11)
LIFE_COLUMNS = 11  # Number of columns of ``life``
# Number of columns of a draw list: x, y, cos, sin, front, back, half width, bend, opacity, RGB, height, sprite
DRAW_COLUMNS = 14


def cache_folder() -> str | None:
    """Return the folder of the cached compiled code; None if no candidate folder is writable."""
    return cast("Any", noise)._cache.cache_path


@partial(compiled, signature="f4(i8, i8, i8)")
def noise(a: int, b: int, c: int) -> Number:
    """Return a pseudorandom number in [0, 1): a hash of three integers by SplitMix64's finaliser."""
    x = np.uint64(a) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(b) * np.uint64(0xC2B2AE3D27D4EB4F) + np.uint64(c)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x = x ^ (x >> np.uint64(31))
    return f32(x >> np.uint64(40)) * UNIT24


@partial(compiled, signature="f4(f4[:, :], f4, f4)")
def sample(plane: np.ndarray, x: Number, y: Number) -> Number:
    """Return the bilinear sample of a plane (H, W) at (x, y), in pixels, with replicated edges."""
    height, width = plane.shape
    x = min(max(x, ZERO), f32(width - 1))
    y = min(max(y, ZERO), f32(height - 1))
    i, j = int(x), int(y)
    i1, j1 = min(i + 1, width - 1), min(j + 1, height - 1)
    a, b = x - i, y - j
    return (plane[j, i] * (1 - a) + plane[j, i1] * a) * (1 - b) + (plane[j1, i] * (1 - a) + plane[j1, i1] * a) * b


@partial(compiled, signature="UniTuple(f4, 3)(f4[:, :, ::1], f4, f4)")
def sample3(picture: np.ndarray, x: Number, y: Number) -> tuple[Number, Number, Number]:
    """Return the three bilinear samples of a picture (H, W, 3) at (x, y), in pixels, with replicated edges."""
    height, width = picture.shape[:2]
    x = min(max(x, ZERO), f32(width - 1))
    y = min(max(y, ZERO), f32(height - 1))
    i, j = int(x), int(y)
    i1, j1 = min(i + 1, width - 1), min(j + 1, height - 1)
    a, b = x - i, y - j
    p, q, r, s = (1 - a) * (1 - b), a * (1 - b), (1 - a) * b, a * b
    return (
        picture[j, i, 0] * p + picture[j, i1, 0] * q + picture[j1, i, 0] * r + picture[j1, i1, 0] * s,
        picture[j, i, 1] * p + picture[j, i1, 1] * q + picture[j1, i, 1] * r + picture[j1, i1, 1] * s,
        picture[j, i, 2] * p + picture[j, i1, 2] * q + picture[j1, i, 2] * r + picture[j1, i1, 2] * s,
    )


@partial(compiled, signature="f4(f4)")
def wrap_half_turn(angle: Number) -> Number:
    """Wrap an angle of undirected lines, in radians, to [-π/2, π/2)."""
    return (angle + QUARTER) % HALF_TURN - QUARTER


@compiled
def update_strokes(  # noqa: C901  (one loop, because Numba does not inline calls well)
    life: np.ndarray,
    ids: np.ndarray,
    dying: np.ndarray,
    next_id: int,
    salt: int,
    frame: int,
    flow: np.ndarray,
    colours: np.ndarray,
    lines: np.ndarray,
    placement: np.ndarray,
    fine: np.ndarray,
    rules: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Update the strokes of a layer by one frame; return the new ``life``, ``ids``, ``dying`` and the next free id.

    Strokes move with the flow, turn, adapt their colours, fade out where they do not fit, and are born in empty cells.

    Args:
        life: The table of strokes, (n, LIFE_COLUMNS) float32, the oldest first.
        ids: The number of each stroke in the order of birth, (n,) int64, which seeds its random properties.
        dying: 1 for strokes that fade out, (n,) uint8.
        next_id: The number of the next new stroke.
        salt: The random seed of the shot and the layer.
        frame: The number of the frame in its shot.
        flow: The motion since the last frame, (h, w, 2) float32; (0, 0, 2) in the first frame, without fade-in.
        colours: The picture of the colours that strokes take on, (h', w', 3).
        lines: The direction field, (h'', w'', 3): cos 2θ, sin 2θ, coherence.
        placement: A map (h, w): strokes are born where it is above 0, and die where it is below ``rules[4]``; (0, 0):
            everywhere.
        fine: The share by which strokes are narrower, at most a half, (h, w); (0, 0): nowhere.
        rules: (20,) float32: 0 width of the guide, 1 height, 2 cell size, 3 most strokes in a cell, 4 placement below
            which strokes die, 5 colour difference above which they die, 6 adaptation of the colour per frame, 7
            adaptation of the angle per frame, 8 change of opacity per frame while fading, 9 angle, 10 whether the angle
            is fixed, 11 influence of the direction field on a fixed angle, 12 σ of the angle, 13 half length, 14
            whether ends are clipped at edges, 15 colour difference of an edge, 16 largest bend, 18 least half length,
            19 whether strokes lie across the lines (1).
    """
    width, height, cell = rules[0], rules[1], rules[2]
    across, down = int(np.ceil(width / cell)), int(np.ceil(height / cell))
    n, most = len(life), int(rules[3])
    has_placement, has_fine, first = placement.size > 0, fine.size > 0, flow.size == 0
    count = np.zeros(across * down, np.int32)
    kx, ky = f32(colours.shape[1]) / width, f32(colours.shape[0]) / height
    lx, ly = f32(lines.shape[1]) / width, f32(lines.shape[0]) / height
    margin = rules[13]
    if not first:
        for q in range(n):
            x, y = life[q, X], life[q, Y]
            dx = sample(flow[:, :, 0], x - HALF, y - HALF)
            dy = sample(flow[:, :, 1], x - HALF, y - HALF)
            life[q, X], life[q, Y] = x + dx, y + dy
    for q in range(n):
        x, y = life[q, X], life[q, Y]
        inside = 0 <= x < width and 0 <= y < height
        if not (-margin <= x < width + margin and -margin <= y < height + margin):
            dying[q] = 1
        i, j = min(max(int(x), 0), int(width) - 1), min(max(int(y), 0), int(height) - 1)
        if has_placement and placement[j, i] < rules[4]:
            dying[q] = 1
        r, g, b = sample3(colours, x * kx - HALF, y * ky - HALF)
        far = abs(r - life[q, RED]) + abs(g - life[q, GREEN]) + abs(b - life[q, BLUE])
        if far > rules[5]:
            dying[q] = 1
        if dying[q] == 0 and inside:
            at = int(y / cell) * across + int(x / cell)
            if count[at] >= most:
                dying[q] = 1
            else:
                count[at] += 1
    num_new = 0
    for at in range(across * down):
        num_new += count[at] == 0
    total = n + num_new
    next_life = np.empty((total, LIFE_COLUMNS), np.float32)
    next_ids = np.empty(total, np.int64)
    next_dying = np.zeros(total, np.uint8)
    m = 0
    for q in range(n):
        alpha = life[q, ALPHA] + (-rules[8] if dying[q] else rules[8])
        if alpha <= TINY:
            continue
        for column in range(LIFE_COLUMNS):
            next_life[m, column] = life[q, column]
        next_life[m, ALPHA] = min(alpha, ONE)
        next_ids[m], next_dying[m] = ids[q], dying[q]
        m += 1
    old = m
    for at in range(across * down):
        if count[at]:
            continue
        x = (at % across + noise(salt, at, 2 * frame)) * cell
        y = (at // across + noise(salt, at, 2 * frame + 1)) * cell
        if x >= width or y >= height or (has_placement and placement[int(y), int(x)] <= 0):
            continue
        next_life[m, X], next_life[m, Y] = x, y
        next_life[m, ALPHA] = 1 if first else rules[8]
        next_ids[m] = next_id
        next_id += 1
        m += 1
    for q in range(m):
        x, y = next_life[q, X], next_life[q, Y]
        is_new = q >= old
        r, g, b = sample3(colours, x * kx - HALF, y * ky - HALF)
        follow = ONE if is_new else rules[6]
        if is_new:
            next_life[q, RED], next_life[q, GREEN], next_life[q, BLUE] = r, g, b
        elif next_dying[q] == 0:
            next_life[q, RED] += (r - next_life[q, RED]) * follow
            next_life[q, GREEN] += (g - next_life[q, GREEN]) * follow
            next_life[q, BLUE] += (b - next_life[q, BLUE]) * follow
        c2, s2, coherence = sample3(lines, x * lx - HALF, y * ly - HALF)
        form = HALF * np.arctan2(s2, c2) + rules[19] * QUARTER
        stray = (noise(salt, next_ids[q], 11) + noise(salt, next_ids[q], 12) - ONE) * UNIT_STD
        target = form + stray * rules[12]
        if rules[10] > 0:
            turned = wrap_half_turn(form - rules[9]) * min(coherence, ONE) * rules[11]
            target = rules[9] + turned + stray * rules[12]
        turn = ONE if is_new else rules[7]
        if is_new:
            next_life[q, ANGLE] = target
        else:
            next_life[q, ANGLE] += wrap_half_turn(target - next_life[q, ANGLE]) * turn
        angle = next_life[q, ANGLE]
        cos, sin = np.cos(angle), np.sin(angle)
        narrow = ONE
        if has_fine:
            i, j = min(max(int(x), 0), int(width) - 1), min(max(int(y), 0), int(height) - 1)
            narrow = 1 - HALF * fine[j, i]
        next_life[q, NARROW] = narrow if is_new else next_life[q, NARROW] + (narrow - next_life[q, NARROW]) * turn
        half = rules[13] * next_life[q, NARROW]
        bend = ZERO
        if rules[16] > 0:
            d = THIRDS * half
            c2, s2, _ = sample3(lines, (x + cos * d) * lx - HALF, (y + sin * d) * ly - HALF)
            ahead = wrap_half_turn(HALF * np.arctan2(s2, c2) + rules[19] * QUARTER - angle)
            c2, s2, _ = sample3(lines, (x - cos * d) * lx - HALF, (y - sin * d) * ly - HALF)
            behind = wrap_half_turn(HALF * np.arctan2(s2, c2) + rules[19] * QUARTER - angle)
            if abs(ahead - behind) < MAX_END_ANGLE:
                bend = (ahead - behind) / (2 * d)
            limit = rules[16] / half
            bend = min(max(bend, -limit), limit)
        next_life[q, BEND] = bend if is_new else next_life[q, BEND] + (bend - next_life[q, BEND]) * turn
        front, back = half, half
        if rules[14] > 0:
            front = distance_to_edge(colours, x, y, cos, sin, half, kx, ky, rules[15])
            back = distance_to_edge(colours, x, y, -cos, -sin, half, kx, ky, rules[15])
            least = rules[18] * next_life[q, NARROW]
            front, back = max(front, least), max(back, least)
        next_life[q, FRONT] = front if is_new else next_life[q, FRONT] + (front - next_life[q, FRONT]) * turn
        next_life[q, BACK] = back if is_new else next_life[q, BACK] + (back - next_life[q, BACK]) * turn
    return next_life[:m], next_ids[:m], next_dying[:m], next_id


@partial(compiled, signature="f4(f4[:, :, ::1], f4, f4, f4, f4, f4, f4, f4, f4)")
def distance_to_edge(
    colours: np.ndarray,
    x: Number,
    y: Number,
    cos: Number,
    sin: Number,
    half: Number,
    kx: Number,
    ky: Number,
    edge: Number,
) -> Number:
    """Return the distance from (x, y) along the direction (cos, sin) to an edge, at most ``half``, in guide pixels.

    At an edge the absolute differences of the channels add up to more than ``edge``. ``kx`` and ``ky``: pixels of
    ``colours`` per guide pixel.
    """
    r, g, b = sample3(colours, x * kx - HALF, y * ky - HALF)
    done = ZERO
    for step in range(1, 6):
        d = half * FIFTH * step
        r1, g1, b1 = sample3(colours, (x + cos * d) * kx - HALF, (y + sin * d) * ky - HALF)
        if abs(r1 - r) + abs(g1 - g) + abs(b1 - b) > edge:
            break
        done = d
    return done


@compiled
def push_apart(life: np.ndarray, dying: np.ndarray, cell: Number, across: int, down: int, share: Number) -> None:
    """Push apart strokes that are nearer to each other than one grid cell, by ``share`` of the overlap.

    ``cell``, ``across`` and ``down``: the grid, see ``sort_into_cells``. Strokes that fade out (``dying``) do not move.
    """
    n = len(life)
    starts, members = sort_into_cells(life, dying, cell, across, down)
    moves = np.zeros((n, 2), np.float32)
    for q in range(n):
        if dying[q]:
            continue
        x, y = life[q, X], life[q, Y]
        cx, cy = min(max(int(x / cell), 0), across - 1), min(max(int(y / cell), 0), down - 1)
        for j in range(max(cy - 1, 0), min(cy + 2, down)):
            for k in range(starts[j * across + max(cx - 1, 0)], starts[j * across + min(cx + 1, across - 1) + 1]):
                o = members[k]
                if o == q:
                    continue
                dx, dy = x - life[o, X], y - life[o, Y]
                d = np.sqrt(dx * dx + dy * dy) + TINY
                if d < cell:
                    push = share * HALF * (cell - d) / d
                    moves[q, 0] += dx * push
                    moves[q, 1] += dy * push
    limit = TENTH * cell
    for q in range(n):
        life[q, X] += min(max(moves[q, 0], -limit), limit)
        life[q, Y] += min(max(moves[q, 1], -limit), limit)


@compiled
def sort_into_cells(
    life: np.ndarray, dying: np.ndarray, cell: Number, across: int, down: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sort strokes into a grid of square cells; return each cell's first index, (cells + 1,), and sorted strokes.

    ``cell``: the side of a cell in guide pixels. ``across`` and ``down``: the numbers of cells along the sides.
    """
    n, cells = len(life), across * down
    starts = np.zeros(cells + 1, np.int32)
    cell_of = np.empty(n, np.int32)
    for q in range(n):
        i = min(max(int(life[q, X] / cell), 0), across - 1)
        j = min(max(int(life[q, Y] / cell), 0), down - 1)
        cell_of[q] = j * across + i
        starts[cell_of[q] + 1] += 1
    for at in range(cells):
        starts[at + 1] += starts[at]
    members = np.empty(n, np.int32)
    filled = starts[:-1].copy()
    for q in range(n):
        members[filled[cell_of[q]]] = q
        filled[cell_of[q]] += 1
    return starts, members


@compiled
def stacking_order(ids: np.ndarray, salt: int) -> np.ndarray:
    """Return the random stacking order of strokes, (n,) float32: the lowest number is the topmost stroke.

    ``ids`` and ``salt``: see ``update_strokes``.
    """
    made = np.empty(len(ids), np.float32)
    for q in range(len(ids)):
        made[q] = noise(salt, ids[q], 10)
    return made


@compiled
def draw_list(
    life: np.ndarray,
    ids: np.ndarray,
    order: np.ndarray,
    salt: int,
    scale: Number,
    half_width: Number,
    brushes: int,
    style: np.ndarray,
    ink: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the draw list of strokes, (n, DRAW_COLUMNS) float32, and the rows [first, stop) of each, (n, 2) int32.

    Args:
        life: See ``update_strokes``, also for ``ids`` and ``salt``.
        order: The indices of the strokes, the topmost first, (n,).
        scale: Result pixels per guide pixel.
        half_width: Half the width of strokes, in pixels of the guide.
        brushes: The number of sprites.
        style: (9,) float32: 0 opacity, 1-5 variation of lightness, of each channel, of width, of length, of height, 6
            increase of the saturation, 7 share of the picture's colour, the rest is the ink's, 8 sheen.
        ink: (3,) float32.
    """
    n = len(order)
    made = np.empty((n, DRAW_COLUMNS), np.float32)
    rows = np.empty((n, 2), np.int32)
    for k in range(n):
        q = order[k]
        number = ids[q]
        wide = half_width * life[q, NARROW] * (1 + style[3] * (2 * noise(salt, number, 1) - 1)) * scale
        long = 1 + style[4] * (2 * noise(salt, number, 2) - 1)
        light = style[1] * (noise(salt, number, 3) + noise(salt, number, 4) - 1)
        gloss = ONE
        if style[8] > 0:  # A thread is lightest where it lies perpendicular to the light from the upper left
            gloss += style[8] * (MAX_END_ANGLE * np.sin(life[q, ANGLE] - f32(0.25 * np.pi)) ** 4 - HALF)
        r, g, b = life[q, RED], life[q, GREEN], life[q, BLUE]
        grey = OF_RED * r + OF_GREEN * g + OF_BLUE * b
        r, g, b = r + (r - grey) * style[6], g + (g - grey) * style[6], b + (b - grey) * style[6]
        r, g, b = r * gloss, g * gloss, b * gloss
        r += light + style[2] * (2 * noise(salt, number, 5) - 1)
        g += light + style[2] * (2 * noise(salt, number, 6) - 1)
        b += light + style[2] * (2 * noise(salt, number, 7) - 1)
        r, g, b = (ink[0] + (r - ink[0]) * style[7], ink[1] + (g - ink[1]) * style[7], ink[2] + (b - ink[2]) * style[7])
        front, back = life[q, FRONT] * long * scale, life[q, BACK] * long * scale
        cos, sin = np.cos(life[q, ANGLE]), np.sin(life[q, ANGLE])
        bend = life[q, BEND] / scale
        x, y = life[q, X] * scale, life[q, Y] * scale
        made[k, 0], made[k, 1], made[k, 2], made[k, 3] = x, y, cos, sin
        made[k, 4], made[k, 5], made[k, 6], made[k, 7] = front, back, wide, bend
        made[k, 8] = life[q, ALPHA] * style[0]
        made[k, 9] = min(max(r, ZERO), ONE)
        made[k, 10] = min(max(g, ZERO), ONE)
        made[k, 11] = min(max(b, ZERO), ONE)
        made[k, 12] = style[5] * (2 * noise(salt, number, 8) - 1)
        made[k, 13] = int(noise(salt, number, 9) * brushes)
        longest = max(front, back)
        reach_y = abs(sin) * longest + abs(cos) * (wide + HALF * abs(bend) * longest * longest) + 1
        rows[k, 0], rows[k, 1] = int(np.floor(y - reach_y)), int(np.ceil(y + reach_y)) + 1
    return made, rows


@compiled
def rasterise(  # noqa: C901  (one loop, because Numba does not inline calls well)
    paint: np.ndarray,
    bare: np.ndarray,
    stain: np.ndarray,
    top: int,
    strokes: np.ndarray,
    rows: np.ndarray,
    sprites: np.ndarray,
    paper: np.ndarray,
    params: np.ndarray,
) -> None:
    """Rasterise strokes onto a band of the result's rows, the topmost stroke first.

    Args:
        paint: Red, green, blue and height of the opaque paint, premultiplied by its cover, (rows, W, 4) float32.
        bare: The share of each pixel that is still uncovered, (rows, W) float32.
        stain: The transmittance of transparent strokes, (rows, W, 3) float32.
        top: The number of the band's first row.
        strokes: See ``draw_list``, also for ``rows``.
        sprites: Cover and height across and along the stroke, (n, V, U, 2) float32.
        paper: The grain, 0 deep to 1 high, (N, N) float32.
        params: (5,) float32: 0 whether strokes are transparent, 1 strength of streaks, 2 grip of the paper, 3 hardness
            of the grain, 4 thickness of the paint.
    """
    bottom, width = top + paint.shape[0], paint.shape[1]
    v_size, u_size = sprites.shape[1] - 1, sprites.shape[2] - 1
    tile = len(paper)
    is_stain, streaks, grip, hard, thick = params[0] > 0, params[1], params[2], params[3], params[4]
    for k in range(len(strokes)):
        if rows[k, 1] <= top or rows[k, 0] >= bottom:
            continue
        x, y, cos, sin = strokes[k, 0], strokes[k, 1], strokes[k, 2], strokes[k, 3]
        front, back, half, bend = strokes[k, 4], strokes[k, 5], strokes[k, 6], strokes[k, 7]
        opacity, lift, which = strokes[k, 8], strokes[k, 12], int(strokes[k, 13])
        r, g, b = strokes[k, 9], strokes[k, 10], strokes[k, 11]
        curve = f32(0.5) * bend
        sway = abs(curve) * max(front, back) ** 2
        iu, iv = u_size / (front + back), v_size / (2 * half)
        for j in range(max(rows[k, 0], top), min(rows[k, 1], bottom)):
            dy = j + f32(0.5) - y
            lo, hi = -x, width - x
            if abs(cos) > f32(1e-4):
                p, q = (-back - sin * dy) / cos, (front - sin * dy) / cos
                lo, hi = max(lo, min(p, q)), min(hi, max(p, q))
            elif not -back <= sin * dy <= front:
                continue
            if abs(sin) > f32(1e-4):
                p, q = (cos * dy - half - sway) / sin, (cos * dy + half + sway) / sin
                lo, hi = max(lo, min(p, q)), min(hi, max(p, q))
            elif not -half - sway <= cos * dy <= half + sway:
                continue
            row = j - top
            for i in range(max(int(np.ceil(x + lo - f32(0.5))), 0), min(int(x + hi + f32(0.5)), width)):
                left = bare[row, i]
                if left < f32(0.02):
                    continue
                dx = i + f32(0.5) - x
                along = cos * dx + sin * dy
                aside = cos * dy - sin * dx - curve * along * along
                u, v = (along + back) * iu, (aside + half) * iv
                if u < 0 or v < 0 or u >= u_size or v >= v_size:
                    continue
                u0, v0 = int(u), int(v)
                fu, fv = u - u0, v - v0
                p, q = (1 - fu) * (1 - fv), fu * (1 - fv)
                s, t = (1 - fu) * fv, fu * fv
                cover = (
                    sprites[which, v0, u0, 0] * p
                    + sprites[which, v0, u0 + 1, 0] * q
                    + sprites[which, v0 + 1, u0, 0] * s
                    + sprites[which, v0 + 1, u0 + 1, 0] * t
                )
                if cover < f32(0.004):
                    continue
                if grip > 0:
                    cover = min(max((cover - grip * (1 - paper[j % tile, i % tile])) * hard, f32(0)), cover)
                a = cover * opacity
                if is_stain:
                    stain[row, i, 0] *= 1 - a * (1 - r)
                    stain[row, i, 1] *= 1 - a * (1 - g)
                    stain[row, i, 2] *= 1 - a * (1 - b)
                    continue
                ridge = (
                    sprites[which, v0, u0, 1] * p
                    + sprites[which, v0, u0 + 1, 1] * q
                    + sprites[which, v0 + 1, u0, 1] * s
                    + sprites[which, v0 + 1, u0 + 1, 1] * t
                )
                a *= left
                streak = 1 + streaks * (ridge - f32(0.5))
                paint[row, i, 0] += a * r * streak
                paint[row, i, 1] += a * g * streak
                paint[row, i, 2] += a * b * streak
                paint[row, i, 3] += a * (ridge * thick + lift)
                bare[row, i] = left - a


@compiled
def print_inks(  # noqa: C901  (one loop, because Numba does not inline calls well)
    stain: np.ndarray,
    top: int,
    picture: np.ndarray,
    bent: np.ndarray,
    phases: np.ndarray,
    paper: np.ndarray,
    inks: np.ndarray,
    params: np.ndarray,
) -> None:
    """Print the picture onto a band of rows through halftone screens: dots, lines, grain or flat areas.

    Args:
        stain: (rows, W, 3) float32, multiplied by the transmittance of each ink.
        top: The number of the band's first row.
        picture: (h, w, 3) float32.
        bent: The displacement of lines by the tone, in pitches, (n, h, w) float32.
        phases: Cos and sin of the phase by which lines moved with the film, (n, h', w', 4) float32.
        paper: The grain, (N, N) float32.
        inks: (n, 17) float32: 0-2 colour; 3-6 amount: weights of the darkness 1 - rgb, and a constant; 7 angle;
            8 pitch in pixels of the result; 9-10 shift in pixels of the result; 11 shape: 0 dots, 1 lines, 2 grain,
            3 flat, 4 cross-hatching; 12 hardness of edges; 13 share of the grey that is left to black; 14 whether
            lines move with the film; 15 loss of ink in the paper's hollows; 16 whether it covers earlier inks.
        params: (1,) float32: guide pixels per result pixel.
    """
    height, width = stain.shape[:2]
    to_guide, tile = params[0], len(paper)
    px_to_phase, py_to_phase = f32(phases.shape[2]) / picture.shape[1], f32(phases.shape[1]) / picture.shape[0]
    for n in range(len(inks)):
        angle, pitch, right, down, shape = inks[n, 7], inks[n, 8], inks[n, 9], inks[n, 10], int(inks[n, 11])
        cos, sin = np.cos(angle) / pitch, np.sin(angle) / pitch
        wr, wg, wb, add = inks[n, 3], inks[n, 4], inks[n, 5], inks[n, 6]
        hard, black, carried, waste = inks[n, 12], inks[n, 13], inks[n, 14] > 0, inks[n, 15]
        opaque = inks[n, 16] > 0
        ir, ig, ib = 1 - inks[n, 0], 1 - inks[n, 1], 1 - inks[n, 2]
        for row in range(height):
            ys = top + row + f32(0.5) + down
            for i in range(width):
                xs = i + f32(0.5) + right
                r, g, b = sample3(picture, xs * to_guide - f32(0.5), ys * to_guide - f32(0.5))
                r, g, b = 1 - r, 1 - g, 1 - b
                least = min(r, min(g, b))
                least = black * least * least  # Only dark shades go to the black ink, else everything turns grey
                amount = wr * (r - least) + wg * (g - least) + wb * (b - least) + add
                if amount <= 0:
                    continue
                amount = min(amount, f32(1))
                u, v = cos * xs + sin * ys, cos * ys - sin * xs
                threshold = f32(0.5)
                if shape == 0:
                    # Share of a screen cell that a round dot covers if its rim passes through this pixel
                    du, dv = u - np.floor(u) - f32(0.5), v - np.floor(v) - f32(0.5)
                    d = du * du + dv * dv
                    threshold = f32(3.1416) * d if d < f32(0.25) else f32(0.571) + f32(0.858) * d
                elif shape == 1 or shape == 4:
                    bend = sample(bent[n], xs * to_guide - f32(0.5), ys * to_guide - f32(0.5))
                    v += bend
                    if carried:
                        px = xs * to_guide * px_to_phase - f32(0.5)
                        py = ys * to_guide * py_to_phase - f32(0.5)
                        turn = np.arctan2(sample(phases[n, :, :, 1], px, py), sample(phases[n, :, :, 0], px, py))
                        v += turn * f32(0.5 / np.pi)
                    threshold = abs(v - np.floor(v) - f32(0.5)) * 2
                    if shape == 4:
                        u += bend
                        threshold = min(threshold, abs(u - np.floor(u) - f32(0.5)) * 2)
                elif shape == 2:
                    threshold = paper[(int(ys) + 211 * n) % tile, (int(xs) + 137 * n) % tile]
                cover = min(max((amount - threshold) * hard + f32(0.5), f32(0)), f32(1))
                if waste > 0:
                    cover *= 1 - waste * (1 - paper[(int(ys) + 37 * n) % tile, (int(xs) + 91 * n) % tile])
                if opaque:
                    stain[row, i, 0] += cover * (1 - ir - stain[row, i, 0])
                    stain[row, i, 1] += cover * (1 - ig - stain[row, i, 1])
                    stain[row, i, 2] += cover * (1 - ib - stain[row, i, 2])
                    continue
                stain[row, i, 0] *= 1 - cover * ir
                stain[row, i, 1] *= 1 - cover * ig
                stain[row, i, 2] *= 1 - cover * ib


@compiled
def composite(
    out: np.ndarray,
    paint: np.ndarray,
    bare: np.ndarray,
    stain: np.ndarray,
    above: int,
    top: int,
    ground: np.ndarray,
    paper: np.ndarray,
    params: np.ndarray,
) -> None:
    """Composite a band of the picture: ground colour, paint lit by its relief, pigment, and the paper's grain.

    Args:
        out: (rows, W, 3) uint8 or uint16.
        paint: See ``rasterise``, also for ``bare`` and ``stain``, with ``above`` more rows on either side.
        top: The number of the first row of ``out``.
        ground: (h, w, 3) float32 at the guide's size, or (1, 1, 3).
        paper: The grain, (N, N) float32.
        params: (9,) float32: 0 strength of the light, 1 distance in pixels over which relief is measured, 2 largest
            change by light, 3 and 4 density of pigment by the paint's height and by the grain, 5 darkness of the
            grain's hollows, 6 and 7 guide pixels per result pixel, 8 the largest value of ``out``.
    """
    rows, width = out.shape[:2]
    light, step, limit, hollows = params[0], int(params[1]), params[2], params[5]
    by_height, by_grain = params[3], params[4]
    last, tile, most = paint.shape[0] - 1, len(paper), params[8]
    flat = ground.shape[0] == 1
    for j in range(rows):
        row = j + above
        for i in range(width):
            if flat:
                r, g, b = ground[0, 0, 0], ground[0, 0, 1], ground[0, 0, 2]
            else:
                u = (i + f32(0.5)) * params[6] - f32(0.5)
                v = (top + j + f32(0.5)) * params[7] - f32(0.5)
                r, g, b = sample3(ground, u, v)
            left = bare[row, i]
            r = (paint[row, i, 0] + left * r) * stain[row, i, 0]
            g = (paint[row, i, 1] + left * g) * stain[row, i, 1]
            b = (paint[row, i, 2] + left * b) * stain[row, i, 2]
            grain = paper[(top + j) % tile, i % tile]
            if by_height != 0 or by_grain != 0:
                d = by_height * (paint[row, i, 3] - f32(0.5)) + by_grain * (f32(0.5) - grain)
                r, g, b = r - (r - r * r) * d, g - (g - g * g) * d, b - (b - b * b) * d
            if hollows > 0:
                dark = 1 - hollows * (1 - grain)
                r, g, b = r * dark, g * dark, b * dark
            if light > 0:
                slope = f32(0)
                for d in range(1, step + 1):
                    slope += paint[row, max(i - d, 0), 3] - paint[row, min(i + d, width - 1), 3]
                    slope += paint[max(row - d, 0), i, 3] - paint[min(row + d, last), i, 3]
                shade = min(max(-light * slope / step, -limit), limit)
                r, g, b = r + shade, g + shade, b + shade
            out[j, i, 0] = int(min(max(r, f32(0)), f32(1)) * most + f32(0.5))
            out[j, i, 1] = int(min(max(g, f32(0)), f32(1)) * most + f32(0.5))
            out[j, i, 2] = int(min(max(b, f32(0)), f32(1)) * most + f32(0.5))


@compiled
def mask_wash(bare: np.ndarray, top: int, far: np.ndarray, params: np.ndarray) -> None:
    """Set ``bare`` to 0 outside the outline of a wash, where its strokes cannot be visible, and to 1 elsewhere.

    ``bare``: of the band at half size that begins at row ``top``. ``far`` and ``params``: see ``render_wash``.
    """
    to_guide, least = params[12] * 2, -f32(0.5) * params[4] / params[13] - f32(2)
    for row in range(bare.shape[0]):
        v = (top + row + f32(0.5)) * to_guide - f32(0.5)
        for i in range(bare.shape[1]):
            bare[row, i] = f32(sample(far, (i + f32(0.5)) * to_guide - f32(0.5), v) > least)


@compiled
def render_wash(
    stain: np.ndarray,
    top: int,
    wet: np.ndarray,
    bare: np.ndarray,
    wet_top: int,
    far: np.ndarray,
    crisp: np.ndarray,
    picture: np.ndarray,
    paper: np.ndarray,
    params: np.ndarray,
) -> None:
    """Composite a band of a watercolour wash within its outline, with more pigment at the rim (Bousseau et al. 2006).

    Args:
        stain: See ``rasterise``, also for ``top``.
        wet: The ``paint`` of the wash's strokes, rasterised as opaque ones at half the size; with ``bare``.
        wet_top: The number of the first row of ``wet``.
        far: The signed distance inside the outline, in lines of 480, (h, w) float32; (0, 0) for a wash everywhere.
        crisp: The sharpness of the outline, 0 to 1, (h, w) float32.
        picture: (h, w, 3) float32.
        paper: The grain, (N, N) float32.
        params: (15,) float32: 0 opacity, 1 strength and 2 width of the rim in pixels of the result, 3 strength of the
            flow, 4 wander in pixels of the result, 5 margin in pixels of the result, 6 share of the picture, 7-9 ink,
            10 share of the ink, 11 height of the result, 12 guide pixels per result pixel, 13 pixels of the result for
            a line of 480, 14 shift of the grain.
    """
    rows, width = stain.shape[:2]
    rim_width, to_guide, line = params[2], params[12], params[13]
    tile, shift, last, right = len(paper), int(params[14]), bare.shape[0] - 1, bare.shape[1] - 1
    outlined = far.size > 0
    for row in range(rows):
        y = top + row + f32(0.5)
        v, down = y * to_guide - f32(0.5), (top + row) % tile
        b = min(max(y * f32(0.5) - f32(0.5) - wet_top, f32(0)), f32(last))
        j = min(int(b), last - 1)
        b -= j
        for i in range(width):
            x = i + f32(0.5)
            a = min(max(x * f32(0.5) - f32(0.5), f32(0)), f32(right))
            k = min(int(a), right - 1)
            a -= k
            p, q, s, t = (1 - a) * (1 - b), a * (1 - b), (1 - a) * b, a * b
            cover = 1 - (bare[j, k] * p + bare[j, k + 1] * q + bare[j + 1, k] * s + bare[j + 1, k + 1] * t)
            if cover < f32(0.02):
                continue
            u = x * to_guide - f32(0.5)
            fine = paper[down, i % tile] - f32(0.5)
            flow = wet[j, k, 3] * p + wet[j, k + 1, 3] * q + wet[j + 1, k, 3] * s + wet[j + 1, k + 1, 3] * t
            flow = flow / cover - f32(0.5)
            inside = (cover - f32(0.5)) * 8 * line
            if outlined:
                outline = sample(far, u, v) * line + params[4] * flow
                if outline < -2 * line:
                    continue
                inside = min(inside, outline)
            side = min(min(x, width - x), min(y, params[11] - y))
            if params[5] > 0 and side - f32(1.6) * params[5] < inside:
                slow = sample(paper, (x / (9 * line) + shift) % (tile - 1), (y / (9 * line) + shift) % (tile - 1))
                inside = min(inside, side - params[5] * (f32(0.4) + f32(1.2) * slow))
            inside += line * fine
            there = min(max(inside / (f32(1.2) * line) + f32(0.5), f32(0)), f32(1))
            if there <= 0:
                continue
            edge = max(1 - abs(inside - f32(0.5) * rim_width) / rim_width, f32(0))
            density = params[3] * flow
            if edge > 0:
                sharp = sample(crisp, u, v) if outlined else f32(1)
                density += params[1] * sharp * edge * edge * (3 - 2 * edge)
            seen = sample3(picture, u, v)
            for n in range(3):
                c = wet[j, k, n] * p + wet[j, k + 1, n] * q + wet[j + 1, k, n] * s + wet[j + 1, k + 1, n] * t
                c = c / cover
                c += (seen[n] - c) * params[6]
                c += (params[7 + n] - c) * params[10]
                c = 1 - params[0] * (1 - c)
                c -= (c - c * c) * density
                stain[row, i, n] *= 1 - there * (1 - min(max(c, f32(0)), f32(1)))
