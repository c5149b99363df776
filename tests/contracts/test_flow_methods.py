"""What every flow method keeps to. A new one is tested by being in the table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from clips import scene

from vidtrans.core.errors import UsageError
from vidtrans.flow import FLOWS
from vidtrans.flow.estimator import DISMedium, grey

SIZES = [(1, 1), (33, 17), (600, 5)]


@pytest.fixture(params=list(FLOWS))
def name(request: pytest.FixtureRequest) -> str:
    """Each method of the table; one that this machine lacks is skipped, and says what it lacks."""
    try:
        FLOWS.load(request.param)()
    except UsageError as error:
        if "not installed" not in str(error):
            raise
        pytest.skip(str(error))
    return str(request.param)


@pytest.fixture
def threads() -> Iterator[None]:
    before = cv2.getNumThreads()
    yield
    cv2.setNumThreads(before)


def made(name: str) -> Any:
    return FLOWS.load(name)()


def taken(name: str, rgb: np.ndarray) -> np.ndarray:
    """What the method takes of a picture."""
    return np.ascontiguousarray(grey(rgb) if FLOWS[name].takes == "grey" else rgb)


def pair(name: str, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Two pictures of (width, height) that have nothing to do with each other."""
    a, b = (taken(name, cv2.resize(scene(48, 48, seed), size)) for seed in (1, 2))
    return a, b


@pytest.mark.parametrize("shift", [(3, -2), (9, 0)])
def test_a_translation_is_found(name: str, shift: tuple[int, int]) -> None:
    (x, y), big = shift, scene(220, 180, seed=5)
    first = taken(name, big[20:148, 20:180])
    second = taken(name, big[20 - y : 148 - y, 20 - x : 180 - x])
    found = made(name)(first, second)
    assert found.shape == (128, 160, 2)
    assert found.dtype == np.float32
    error = np.linalg.norm(found - np.array(shift, np.float32), axis=2)[16:-16, 16:-16]
    assert error.mean() < 0.15
    assert np.percentile(error, 98) < 0.5


def test_pictures_of_any_size_give_a_flow_of_theirs_and_are_left_alone(name: str) -> None:
    for size in SIZES:
        pictures = pair(name, size)
        before = [p.copy() for p in pictures]
        flow = made(name)(*pictures)
        assert flow.shape == (size[1], size[0], 2), size
        assert flow.dtype == np.float32
        assert flow.flags.c_contiguous
        assert np.isfinite(flow).all(), size
        assert all(np.array_equal(p, b) for p, b in zip(pictures, before, strict=True))


@pytest.mark.usefixtures("threads")
def test_a_method_answers_the_same_whatever_it_was_asked_before_and_on_any_number_of_threads(name: str) -> None:
    used, wanted = made(name), {size: made(name)(*pair(name, size)) for size in SIZES}
    for size in [*SIZES, *reversed(SIZES)]:
        assert np.array_equal(used(*pair(name, size)), wanted[size]), size
    for count in (1, 5):
        cv2.setNumThreads(count)
        assert np.array_equal(made(name)(*pair(name, SIZES[-1])), wanted[SIZES[-1]])


def test_a_strips_motion_along_itself_is_found() -> None:
    """OpenCV alone ends in a crash here: it chooses the coarsest level by the width."""
    big = grey(scene(460, 12, seed=3))
    flow = DISMedium()(np.ascontiguousarray(big[:, 20:420]), np.ascontiguousarray(big[:, 12:412]))
    assert np.median(np.linalg.norm(flow - np.float32((8, 0)), axis=2)[:, 20:-20]) < 0.1
