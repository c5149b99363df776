"""People and faces in frames: the squares that networks see, what is found, and how it is followed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vidtrans.core.files import PACKAGE
from vidtrans.perception.people import FACE_SIDE_PX, INSIDE, FaceFinder, PersonFinder, Square, face_oval, overlap
from vidtrans.video.images.picture import read_picture

pytestmark = pytest.mark.usefixtures("one_thread")
WIDTH, HEIGHT = 120, 90
SQUARES = st.builds(Square, st.floats(-30, 60), st.floats(-30, 40), st.floats(30, 90), st.integers(0, 3))


def frame_of(name: str, size: tuple[int, int] = (200, 160), left: int = 0) -> np.ndarray:
    picture = read_picture(PACKAGE / "assets/frames" / name)
    return cv2.resize(picture[:240, left : left + 300], size, interpolation=cv2.INTER_AREA)


@given(SQUARES, st.floats(0.1, 0.9), st.floats(0.1, 0.9))
def test_a_place_in_a_squares_picture_is_the_place_in_the_frame(square: Square, x: float, y: float) -> None:
    """A blob of the frame lies in the crop where ``points`` says; pasted back, it lies where it was."""
    [[across, down]] = square.points(np.array([[x, y]]))
    assume(4 < across < WIDTH - 5 and 4 < down < HEIGHT - 5)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    blob = 255 * np.exp(-((columns - across) ** 2 + (rows - down) ** 2) / 8)
    crop = square.crop(np.dstack([blob.astype(np.uint8)] * 3), 64)[..., 0].astype(np.float32)
    assert crop.shape == (64, 64)
    assert centre(crop) == pytest.approx((x * 64, y * 64), abs=64 / square.side + 0.5)
    assert centre(square.paste(crop, (WIDTH, HEIGHT))) == pytest.approx((across, down), abs=1.5)


def centre(picture: np.ndarray) -> tuple[float, float]:
    """The brightest place (x, y), as the mean of the pixels above half of the maximum."""
    rows, columns = np.nonzero(picture > 0.5 * picture.max())
    return float(columns.mean() + 0.5), float(rows.mean() + 0.5)


@given(SQUARES)
def test_a_matte_is_0_outside_of_its_square(square: Square) -> None:
    pasted = square.paste(np.ones((64, 64), np.float32), (WIDTH, HEIGHT))
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    x, y = columns - square.x, rows - square.y
    margin = 1 + square.side / 64
    inside = (x > margin) & (x < square.side - margin) & (y > margin) & (y < square.side - margin)
    outside = (x < -margin) | (x > square.side + margin) | (y < -margin) | (y > square.side + margin)
    assert np.allclose(pasted[inside], 1, atol=1e-3)
    assert not pasted[outside].any()


@given(st.floats(0, 80), st.floats(0, 60), st.floats(1, 40), st.floats(1, 40), st.floats(1, 3))
def test_the_square_around_a_box_contains_it(x: float, y: float, width: float, height: float, margin: float) -> None:
    square = Square.around((x, y, x + width, y + height), margin)
    assert square.x <= x + 1e-6
    assert square.y <= y + 1e-6
    assert square.x + square.side >= x + width - 1e-6
    assert square.y + square.side >= y + height - 1e-6
    assert square.x + square.side / 2 == pytest.approx(x + width / 2)


@settings(max_examples=50)
@given(st.floats(0, 2 * np.pi), st.floats(8, 30), st.floats(-0.25, 0.25))
def test_the_oval_of_a_face_contains_eyes_nose_and_mouth_at_any_angle(angle: float, size: float, turn: float) -> None:
    across, up = np.array([np.cos(angle), np.sin(angle)]), np.array([np.sin(angle), -np.cos(angle)])
    middle = np.array([100.0, 100.0])
    places = ((-0.45, 0), (0.45, 0), (turn, -0.5), (0, -1), (-0.9, -0.1), (0.9, -0.1))  # Eyes, nose, mouth, ears
    landmarks = np.array([middle + size * (x * across + y * up) for x, y in places])
    oval = face_oval(landmarks, (200, 200))
    assert oval.shape == (200, 200)
    assert all(oval[int(y), int(x)] > INSIDE for x, y in landmarks[:4])
    assert 0 <= oval.min() <= oval.max() <= 1 + 1e-6
    assert (oval > INSIDE).sum() < 12 * size**2


def test_a_person_and_a_face_are_found_and_followed() -> None:
    frames = [frame_of("astronaut.jpg", left=n) for n in (0, 4)]
    person, face = PersonFinder().search(frames[0]), FaceFinder().search(frames[0])
    assert (len(person), len(face)) == (1, 1)
    for finder, [one] in ((PersonFinder(), person), (FaceFinder(), face)):
        assert one.matte.shape == (160, 200)
        assert 0 <= one.matte.min() <= one.matte.max() <= 1 + 1e-6
        last = finder.advance(frames[1], one)
        assert last is not None
        assert overlap(last.matte, one.matte) > 0.7
        assert last.box[0] < one.box[0] + 1
        assert finder.new_ones([last], [one]) == []
        assert finder.new_ones([last], []) == [last]
    [one] = face
    assert all(one.matte[int(y), int(x)] > INSIDE for x, y, _ in one.points[:4])
    assert (person[0].matte[one.matte > 0.9] > INSIDE).mean() > 0.95


def test_a_face_that_lies_on_its_side_is_followed_in_its_square() -> None:
    frame = np.ascontiguousarray(np.rot90(frame_of("astronaut.jpg")))
    crop = Square(0, 0, 160, turns=3).crop(frame, FACE_SIDE_PX)
    assert FaceFinder().search(crop)


@pytest.mark.parametrize("name", ["coffee.jpg", "chelsea.jpg"])
def test_nobody_is_found_where_nobody_is(name: str) -> None:
    frame = frame_of(name)
    assert PersonFinder().search(frame) == []
    assert FaceFinder().search(frame) == []


def test_a_face_that_leaves_the_picture_is_lost() -> None:
    [one] = FaceFinder().search(frame_of("astronaut.jpg"))
    assert FaceFinder().advance(frame_of("coffee.jpg"), one) is None
