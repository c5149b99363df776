"""Strokes that live: carried along the motion, never popping, and the same whatever was interrupted."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from vidtrans.strokes import kernels
from vidtrans.strokes.media import load_medium, medium_names
from vidtrans.strokes.painter import StrokePainter
from vidtrans.strokes.settings import CURVES, StrokesSettings

VALUES = dict.fromkeys(CURVES, 1.0)
SIZE = (96, 72)


def scene(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Return a frame: a plain ground with some texture, before which a disc moves to the right by a pixel a frame."""
    width, height = size
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    texture = 110 + 35 * np.sin(x / 5.0) * np.cos(y / 7.0)
    made = np.dstack([texture, texture * 0.9, texture * 0.7])
    middle, radius = (width // 3 + number, height // 2), height // 4
    disc = np.dstack([160 + 40 * np.sin((x - number) / 2.0) * np.cos(y / 2.5), texture * 0 + 60, texture * 0 + 40])
    inside = (x - middle[0]) ** 2 + (y - middle[1]) ** 2 < radius**2
    return np.clip(np.where(inside[..., None], disc, made), 0, 255).astype(np.uint8)


def painted(painter: StrokePainter, numbers: range, start: int = 0) -> list[np.ndarray]:
    return [painter.paint(n, scene(n), scene(n), VALUES, starts_shot=n == start) for n in numbers]


def painter(medium: str = "oil", threads: int = 1, size: tuple[int, int] = SIZE, **settings: object) -> StrokePainter:
    return StrokePainter(load_medium(medium), StrokesSettings(**settings), size, threads)  # type: ignore[arg-type]


def lives(made: StrokePainter) -> Iterator[dict[int, float]]:
    """Yield the opacity of the strokes of each layer, by number."""
    for layer in made._layers:
        yield dict(zip(layer._ids.tolist(), layer._life[:, kernels.ALPHA].tolist(), strict=True))


def test_pictures_do_not_depend_on_the_number_of_threads() -> None:
    size = (180, 150)  # several bands
    one, four = (painted(painter(threads=count, size=size), range(3)) for count in (1, 4))
    assert all(np.array_equal(a, b) for a, b in zip(one, four, strict=True))


@pytest.mark.parametrize("medium", ["oil", "watercolour"])
def test_a_painter_that_resumes_goes_on_with_the_same_pictures(medium: str) -> None:
    whole = painter(medium, on=2)
    pictures = painted(whole, range(3))
    state = {name: array.copy() for name, array in whole.state().items()}
    pictures = painted(whole, range(3, 6), start=-1)
    other = painter(medium, on=2)
    painted(other, range(2))  # of another shot: nothing of it stays
    other.resume(state)
    assert all(np.array_equal(a, b) for a, b in zip(painted(other, range(3, 6), start=-1), pictures, strict=True))


def test_a_cut_empties_the_canvas() -> None:
    used, new = painter(), painter()
    painted(used, range(4))
    again = [used.paint(n, scene(n), scene(n), VALUES, starts_shot=n == 10) for n in (10, 11)]
    first = [new.paint(n, scene(n), scene(n), VALUES, starts_shot=n == 10) for n in (10, 11)]
    assert all(np.array_equal(a, b) for a, b in zip(again, first, strict=True))


def test_no_stroke_appears_or_disappears_within_a_frame() -> None:
    made, fade = painter(fade=4), 1 / 4
    before: list[dict[int, float]] = []
    for n in range(8):
        made.paint(n, scene(4 * n), scene(4 * n), VALUES, starts_shot=n == 0)
        now = list(lives(made))
        for old, new in zip(before, now, strict=bool(before)):
            assert all(abs(new.get(one, 0.0) - old.get(one, 0.0)) <= fade + 1e-5 for one in old.keys() | new.keys())
        before = now


def test_strokes_move_with_what_they_lie_on() -> None:
    made = painter()
    made.paint(0, scene(0), scene(0), VALUES, starts_shot=True)
    layer = made._layers[0]
    start = dict(zip(layer._ids.tolist(), layer._life[:, :2].copy(), strict=True))
    for n in range(1, 9):
        made.paint(n, scene(n), scene(n), VALUES, starts_shot=False)
    now = zip(layer._ids.tolist(), layer._life[:, :2], strict=True)
    moved = {one: place - start[one] for one, place in now if one in start}
    middle = np.array([SIZE[0] / 3, SIZE[1] / 2])
    carried = [moved[one] for one in moved if np.linalg.norm(start[one] - middle) < SIZE[1] / 6]
    still = [moved[one] for one in moved if np.linalg.norm(start[one] - middle) > SIZE[1] / 2]
    assert np.allclose(np.median(carried, axis=0), (8, 0), atol=1.5)
    assert np.allclose(np.median(still, axis=0), (0, 0), atol=0.3)


def test_boil_lays_all_strokes_anew_and_on_holds_pictures() -> None:
    boiling = painted(painter(boil=2), range(4))
    assert not np.array_equal(boiling[1], painted(painter(), range(4))[3])
    held = painted(painter(on=2), range(4))
    assert np.array_equal(held[0], held[1])
    assert np.array_equal(held[2], held[3])
    assert not np.array_equal(held[1], held[2])


def test_size_makes_strokes_broader_and_fine_places_narrower() -> None:
    def widths(fine: np.ndarray | None = None, **values: float) -> np.ndarray:
        made = painter()
        made.paint(0, scene(0), scene(0), VALUES | values, starts_shot=True, fine=fine)
        return np.concatenate([layer._half * layer._life[:, kernels.NARROW] for layer in made._layers[:1]])

    assert np.isclose(widths(size=2.0).mean(), 2 * widths().mean())
    white = np.full(SIZE[::-1], 255, np.uint8)
    assert np.isclose(widths(white).mean(), widths().mean() / 2)


@pytest.mark.parametrize("medium", medium_names())
@pytest.mark.parametrize("size", [(8, 8), (1, 40)])
def test_every_medium_paints_the_smallest_pictures(medium: str, size: tuple[int, int]) -> None:
    made, flat = painter(medium, size=size), np.full((*size[::-1], 3), 90, np.uint8)
    for n in range(2):
        picture = made.paint(n, flat, flat, VALUES, starts_shot=n == 0)
        assert picture.shape == flat.shape
        assert picture.dtype == np.uint8


def test_pictures_of_16_bits_stay_deep() -> None:
    deep = (scene(0).astype(np.uint16)) * 257
    picture = painter().paint(0, scene(0), deep, VALUES, starts_shot=True)
    assert picture.dtype == np.uint16
    assert len(np.unique(picture)) > 256


def test_directions_lead_strokes() -> None:
    size = (120, 90)
    lines = np.zeros((90, 120, 3), np.uint8)
    for row in range(0, 90, 6):
        cv2.line(lines, (0, row), (119, row), (255, 255, 255), 1)
    made = StrokePainter(load_medium("oil"), StrokesSettings(), size, 1, directions=lines)
    upright = np.repeat(np.clip(127 + 60 * np.sin(np.arange(120) / 3), 0, 255)[None, :, None], 90, 0).repeat(3, 2)
    frame = upright.astype(np.uint8)
    made.paint(0, frame, frame, VALUES, starts_shot=True)
    angles = made._layers[0]._life[:, kernels.ANGLE]
    assert np.mean(np.abs(np.sin(angles)) < 0.3) > 0.9
