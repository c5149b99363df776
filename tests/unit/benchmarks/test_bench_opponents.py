"""The opponents that benchmarks/consistency puts the temporal filter against: they do what their papers say."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import scene

ROOT = Path(__file__).resolve().parents[3]
if not (ROOT / "benchmarks").is_dir():
    pytest.skip("the benchmarks are not part of this distribution", allow_module_level=True)


@pytest.fixture(autouse=True)
def _beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))  # benchmarks sets it for its children


def module(name: str) -> Any:
    return importlib.import_module(f"benchmarks.consistency.{name}")


def drifting(count: int, step: int = 1) -> list[np.ndarray]:
    big = scene(64 + step * count, 48, 0)
    return [np.ascontiguousarray(big[:, i * step : i * step + 64]) for i in range(count)]


def flickering(frames: list[np.ndarray]) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [np.clip(f.astype(np.int16) + rng.integers(-20, 21), 0, 255).astype(np.uint8) for f in frames]


def error(video: list[np.ndarray], clean: list[np.ndarray]) -> float:
    return float(np.mean([np.square(v.astype(float) - c).mean() for v, c in zip(video, clean, strict=True)]))


def dense(weight: np.ndarray) -> np.ndarray:
    """w − Δ as a matrix, put together edge by edge."""
    height, width = weight.shape
    number = np.arange(height * width).reshape(height, width)
    matrix = np.diag(weight.ravel())
    for one, other in ((number[:, 1:], number[:, :-1]), (number[1:], number[:-1])):
        for a, b in zip(one.ravel(), other.ravel(), strict=True):
            matrix[[a, b], [a, b]] += 1
            matrix[[a, b], [b, a]] -= 1
    return matrix


@pytest.mark.parametrize("lam", [0.01, 1.0, 1000.0])
@pytest.mark.parametrize("shape", [(24, 24), (11, 29), (5, 3)])
def test_screened_poisson_is_solved_as_a_direct_solver_does(lam: float, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    weight = lam * rng.random(shape)
    weight[: shape[0] // 2, : shape[1] // 2] = 0
    right = weight[..., None] * rng.normal(0, 60, (*shape, 3))
    solved = module("bonneel").Screened(weight).solve(right)
    direct = np.linalg.solve(dense(weight), right.reshape(-1, 3)).reshape(solved.shape)
    np.testing.assert_allclose(solved, direct, atol=0.002)


def test_small_weights_keep_gradients_and_large_ones_take_the_target() -> None:
    rng = np.random.default_rng(0)
    picture, target = rng.uniform(0, 255, (2, 20, 26, 3))
    weight = rng.uniform(0.5, 1, (20, 26))
    blended = module("bonneel").blended
    np.testing.assert_allclose(np.ptp(blended(picture, target, 1e-9 * weight) - picture, axis=(0, 1)), 0, atol=0.01)
    np.testing.assert_allclose(blended(picture, target, 1e9 * weight), target, atol=0.01)
    assert (blended(picture, target, 0 * weight) == picture).all()


def test_without_weight_the_result_is_the_per_frame_one() -> None:
    clean = drifting(3)
    processed = flickering(clean)
    made = module("bonneel").bonneel(clean, processed, 0.0, "dis-fast")
    assert all((m == p).all() for m, p in zip(made, processed, strict=True))


def test_the_first_frames_brightness_is_kept_by_the_others() -> None:
    clean = drifting(5)
    processed = [clean[0], *flickering(clean)[1:]]
    assert error(module("bonneel").bonneel(clean, processed, 1.0), clean) < 0.1 * error(processed, clean)


def test_patches_of_equal_frames_give_them_back() -> None:
    frames = [scene(64, 48, 0)] * 4
    processed = [255 - f for f in frames]
    made = module("patches").patch_blend(frames, processed, radius=2)
    assert all((m == p).all() for m, p in zip(made, processed, strict=True))


def test_patches_follow_motion_and_average_flicker() -> None:
    clean = drifting(6, step=2)
    processed = flickering(clean)
    blend = module("patches").patch_blend
    made = blend(clean, processed, radius=5)
    # The mean of six frames is not the middle: what they have in common stays.
    offsets = [np.mean(p.astype(float) - c) for p, c in zip(processed, clean, strict=True)]
    assert error(made, clean) < np.square(np.mean(offsets)) + 40
    assert np.var([np.mean(m.astype(float) - c) for m, c in zip(made, clean, strict=True)]) < 0.02 * np.var(offsets)
    again = blend(clean, processed, radius=5)
    assert all((a == m).all() for a, m in zip(again, made, strict=True))


def test_a_frame_depends_on_its_window_only() -> None:
    clean = drifting(5)
    processed = flickering(clean)
    blend = module("patches").patch_blend
    made = blend(clean, processed, radius=1)
    other = blend([*clean[:3], *clean[:2]], [*processed[:3], *clean[:2]], radius=1)
    assert all((m == o).all() for m, o in zip(made[:2], other[:2], strict=True))


@pytest.mark.parametrize("flicker", ["low", "mixed"])
def test_the_known_flicker_has_the_size_that_is_said(flicker: str) -> None:
    known = module("known_flicker")
    clean = known.toned([scene(256, 192, seed) for seed in range(2)])
    made = known.flickering(clean, flicker, 0)
    assert np.mean([known.psnr(m, c) for m, c in zip(made, clean, strict=True)]) == pytest.approx(24.5, abs=0.1)


def test_the_tone_curve_rises_everywhere_and_differs_by_channel() -> None:
    slopes = 255 * np.diff(module("known_flicker").tone_curves(), axis=0)
    assert slopes.min() > 0
    assert slopes.max() < 1.5
    assert np.ptp(slopes, axis=1).max() > 0.3


def test_what_cannot_be_had_is_skipped_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases, store = module("cases"), module("store").Store(tmp_path)
    assert not list(cases.chosen(cases.plan(store, tmp_path), ["juggle"]))
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 5
    assert all(line.startswith("skipped ") for line in told)


def test_what_was_made_before_is_not_made_again(tmp_path: Path) -> None:
    store, frames = module("store").Store(tmp_path), drifting(2)
    first = store.pictures("name", "key", lambda: frames)
    again = store.pictures("name", "key", lambda: pytest.fail("it is there already"))
    assert all((a == f).all() for a, f in zip(first, frames, strict=True))
    assert all((a == f).all() for a, f in zip(again, frames, strict=True))
    assert store.table("name", "key", lambda: {"ratio": 0.5}) == store.table("name", "key", dict)
    assert store.table("name", "other", dict) == {}


def test_scores_of_a_still_and_of_what_flickers(tmp_path: Path) -> None:
    still = [scene(64, 48, 0)] * 4
    case = module("cases").Case("still", "lut-low", still, flickering(still), still)
    measure = module("measure").measure
    clean, raw = measure(case, case.clean), measure(case, case.processed)
    assert clean.error == 0
    assert clean.db_clean == 99
    assert raw.ratio == 1
    assert raw.removed == 0
    assert clean.removed == 1


@pytest.mark.parametrize(
    ("own", "ratio", "db", "better"),
    [
        ((0.3, 30.0), 0.5, 25.0, True),  # on the curve it has .5 at 30 dB
        ((0.5, 30.0), 0.5, 30.0, False),  # as good as it is: not better
        ((0.55, 29.0), None, None, False),
        ((0.05, 26.0), None, 20.0, True),  # steadier than any, and 6 dB above the steadiest
        ((0.4, 40.0), 0.8, None, True),  # nearer than any
        ((0.9, 40.0), 0.8, 35.0, True),  # nearer than any, and 5 dB above the nearest
        ((0.9, 36.0), 0.8, 35.0, False),
    ],
)
def test_against_a_whole_curve(own: tuple[float, float], ratio: float | None, db: float | None, better: bool) -> None:
    curve = module("curve")
    settings = [curve.Point(0.8, 35.0), curve.Point(0.5, 30.0), curve.Point(0.3, 25.0), curve.Point(0.1, 20.0)]
    found = curve.against(curve.Point(*own), settings)
    assert found.better is better
    assert ratio is None or found.ratio == pytest.approx(ratio, rel=0.02)
    assert db is None or found.db == pytest.approx(db, abs=0.2)


def test_tables_read_as_markdown_and_goals_say_what_became_of_them() -> None:
    tables = module("tables")
    goal = tables.Goal("ratio ≤ .25", most=0.25)
    table = tables.Table("Title", ["clip", "goal"], [["dog", goal.verdict(0.2)], ["bedroom", goal.verdict(0.3)]], ["n"])
    assert table.text().splitlines() == [
        "### Title",
        "",
        "| clip    | goal          |",
        "|---------|---------------|",
        "| dog     | 0.200 met     |",
        "| bedroom | 0.300 NOT MET |",
        "",
        "n",
    ]


def test_noise_across_a_cut_changes_no_bit_and_the_first_frame_is_the_models_own() -> None:
    run_filter = module("methods").run_filter
    clean = drifting(4) + drifting(4, step=2)
    processed = flickering(clean)
    starts = frozenset({0, 4})
    noise = list(np.random.default_rng(0).integers(0, 256, (4, *clean[0].shape), np.uint8))
    window = run_filter("window", clean, processed, starts)
    other = run_filter("window", noise + clean[4:], noise + processed[4:], starts)
    assert all((a == b).all() for a, b in zip(window[4:], other[4:], strict=True))
    assert (run_filter("causal", clean, processed, starts)[4] == processed[4]).all()
    assert not (window[4] == processed[4]).all()
