"""Screens that are found and keyed in drawn frames whose alpha is known."""

from pathlib import Path

import cv2
import numpy as np
import pytest

import vidtrans
from vidtrans.masking.keying import BLUE, GREEN, Screen, find_screen, key_screen, remove_spill
from vidtrans.video.images.picture import read_picture

HEIGHT, WIDTH = 270, 480
GREEN_RGB, BLUE_RGB, SKIN = (20, 170, 64), (20, 60, 180), (198, 146, 118)
FRAMES = sorted((Path(vidtrans.__file__).parent / "assets" / "frames").iterdir())


def drawn_alpha() -> np.ndarray:
    """Draw a figure with an arm that encloses a hole, a soft edge and strands of a pixel."""
    fine = np.zeros((4 * HEIGHT, 4 * WIDTH), np.uint8)
    cv2.rectangle(fine, (600, 500), (900, 4 * HEIGHT), 255, -1)
    cv2.ellipse(fine, (750, 380), (160, 200), 0, 0, 360, 255, -1)
    cv2.polylines(fine, [np.array([(880, 560), (1200, 760), (880, 960)])], False, 255, 80)
    for angle in np.linspace(np.pi, 2 * np.pi, 40):
        tip = (750 + int(300 * np.cos(angle)), 380 + int(330 * np.sin(angle)))
        cv2.line(fine, (750, 380), tip, 255, 4, cv2.LINE_AA)
    small = cv2.resize(fine, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(small, (0, 0), 0.6).astype(np.float32) / 255


def over(alpha: np.ndarray, colours: object, screen: object, noise: float = 1.5) -> np.ndarray:
    """Lay a figure over a screen; colours of chroma are at half the size, as in most videos."""
    base = np.broadcast_to(np.float32(screen), (HEIGHT, WIDTH, 3))
    picture = base + alpha[..., None] * (np.float32(colours) - base)
    picture = picture + noise * np.random.default_rng(0).normal(size=picture.shape)
    coded = cv2.cvtColor(np.clip(picture, 0, 255).astype(np.uint8), cv2.COLOR_RGB2YCrCb)
    chroma = cv2.resize(coded[..., 1:], (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA)
    coded[..., 1:] = cv2.resize(chroma, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    return cv2.cvtColor(coded, cv2.COLOR_YCrCb2RGB)


@pytest.mark.parametrize(("rgb", "channel"), [(GREEN_RGB, GREEN), (BLUE_RGB, BLUE)])
@pytest.mark.parametrize("figure", [SKIN, (30, 24, 22), (200, 170, 120)])
def test_a_key_is_near_the_true_alpha(rgb: tuple[int, int, int], channel: int, figure: tuple[int, int, int]) -> None:
    alpha = drawn_alpha()
    frame = over(alpha, figure, rgb)
    screen = find_screen([frame])
    assert screen is not None
    assert screen.channel == channel
    matte = key_screen(frame, screen)
    assert matte.dtype == np.float32
    assert np.abs(matte - alpha).mean() < 0.01
    band = (alpha > 0.02) & (alpha < 0.98)
    assert np.abs(matte - alpha)[band].mean() < 0.1
    assert matte[200, 252] < 0.02  # Between the arm and the body


def test_shadows_and_uneven_light_belong_to_the_screen() -> None:
    alpha = drawn_alpha()
    light = np.linspace(1.1, 0.8, WIDTH, dtype=np.float32)[None].repeat(HEIGHT, axis=0)
    light *= 1 - 0.45 * cv2.GaussianBlur(np.roll(alpha, 40, axis=1), (0, 0), 14)
    frame = over(alpha, SKIN, np.float32(GREEN_RGB) * light[..., None])
    screen = find_screen([frame])
    assert screen is not None
    matte = key_screen(frame, screen)
    assert matte[alpha == 0].mean() < 0.01
    assert np.abs(matte - alpha).mean() < 0.015


def test_greenish_cloth_inside_the_figure_has_no_holes() -> None:
    alpha = drawn_alpha()
    colours = np.broadcast_to(np.float32(SKIN), (HEIGHT, WIDTH, 3)).copy()
    cv2.ellipse(colours, (187, 200), (20, 30), 0, 0, 360, (96, 124, 70), -1)
    matte = key_screen(over(alpha, colours, GREEN_RGB), Screen(GREEN, (0.08, 0.67, 0.25)))
    assert matte[175:225, 172:202].min() > 0.95


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 400), (181, 97)])
@pytest.mark.parametrize("rgb", [GREEN_RGB, SKIN])
def test_any_size_is_keyed(size: tuple[int, int], rgb: tuple[int, int, int]) -> None:
    frame, screen = np.full((*size, 3), rgb, np.uint8), Screen(GREEN, (0.08, 0.67, 0.25))
    matte = key_screen(frame, screen)
    assert matte.shape == size
    assert matte.mean() == pytest.approx(0 if rgb == GREEN_RGB else 1, abs=0.01)
    assert remove_spill(frame, screen, matte).shape == frame.shape


@pytest.mark.parametrize("path", FRAMES, ids=lambda path: path.stem)
def test_no_screen_is_found_in_photographs(path: Path) -> None:
    assert find_screen([read_picture(path)]) is None


def test_neither_lawns_nor_skies_nor_shirts_are_screens() -> None:
    rng = np.random.default_rng(0)
    blades = cv2.resize(rng.uniform(0.5, 1.3, (90, 160, 1)), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    lawn = np.clip(np.float32([80, 140, 40]) * blades[..., None] + rng.normal(0, 8, (HEIGHT, WIDTH, 3)), 0, 255)
    fall = np.linspace(0, 1, HEIGHT)[:, None, None]
    sky = np.broadcast_to((1 - fall) * np.array([50, 100, 190]) + fall * np.array([190, 210, 230]), lawn.shape)
    shirt = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    shirt[100:, 140:340] = GREEN_RGB
    for picture in (lawn, sky, shirt):
        assert find_screen([picture.astype(np.uint8)]) is None


@pytest.mark.parametrize("scale", [1, 257])
def test_spill_is_removed_from_rims_and_skin_stays(scale: int) -> None:
    alpha = drawn_alpha()
    frame = over(alpha, SKIN, GREEN_RGB)
    screen = Screen(GREEN, (0.08, 0.67, 0.25))
    matte = key_screen(frame, screen)
    frame = frame if scale == 1 else frame.astype(np.uint16) * scale
    clean = remove_spill(frame, screen, matte)
    assert clean.dtype == frame.dtype
    away = np.abs(clean / scale - np.float32(SKIN)).mean(axis=2)
    assert away[alpha > 0.99].mean() < 3
    assert away[(alpha > 0.1) & (alpha < 0.9)].mean() < 20
    assert (clean[..., 1] <= clean[..., [0, 2]].max(axis=2) + scale).all()
    spilled = np.full((4, 4, 3), (140, 190, 120), np.uint8)
    assert remove_spill(spilled, screen)[0, 0, 1] <= 140
