"""Scores of held-out pairs and domains, of what is delivered, which state is the best, and what is said of them."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from chain import TINY, quick_training, said
from clips import moving_frames, scene, write_clip, write_folder
from hypothesis import given
from hypothesis import strategies as st

import vidtrans as api
from vidtrans.commands.text_reports import delivered_text
from vidtrans.data.dataset import Pair
from vidtrans.models.model_file import read_record
from vidtrans.training.methods.unpaired_method import DomainScores, domain_remarks
from vidtrans.training.training_words import NextStep, TrainingSummary, Trend, advice, best_step, has_stalled
from vidtrans.training.trials import likeness, transfer_advice
from vidtrans.training.validation import score
from vidtrans.video.images.picture import read_picture, write_picture


def pairs_of(*pictures: np.ndarray) -> list[Pair]:
    paths = [Path(f"{i}.png").absolute() for i in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        write_picture(path, picture)
    return [Pair((path,), path, "val", (0, 0), i) for i, path in enumerate(paths)]


def pairing(agreement: Any = lambda shown, output: None) -> Any:
    told = {"offsets": (0,), "finishes": False, "has_target": True, "class_colours": None, "agreement": agreement}
    return SimpleNamespace(training_input=lambda frames, rng: frames[0], **told)


def flat(value: int, side: int = 16) -> np.ndarray:
    return np.full((side, side, 3), value, np.uint8)


def test_scores_are_means_over_the_pairs() -> None:
    perfect = score(lambda shown, deep: shown, pairing(), pairs_of(*(scene(24, 16, seed) for seed in range(2))))
    assert perfect == {"pairs": 2, "l1": 0.0, "psnr": 99.0, "ssim": 1.0, "sharpness": 1.0}
    by = iter((51, 102))
    found = score(lambda shown, deep: shown + np.uint8(next(by)), pairing(), pairs_of(flat(0), flat(50)))
    assert found["l1"] == pytest.approx((0.2 + 0.4) / 2, abs=1e-4)
    assert found["psnr"] == pytest.approx(-10 * (np.log10(0.04) + np.log10(0.16)) / 2, abs=1e-3)
    agreed = iter((0.25, 0.75))  # what is read back from the output, where the pairing can
    read = score(lambda shown, deep: shown, pairing(lambda shown, output: next(agreed)), pairs_of(flat(0), flat(9)))
    assert read["segmentation"] == 0.5


values = st.one_of(st.none(), st.floats(0, 50))


@given(st.lists(values, min_size=1), st.sampled_from(["l1", "psnr", "ssim", "patch_distance"]))
def test_the_best_is_better_than_all_before_and_no_worse_than_any(found: list[float | None], name: str) -> None:
    scores = [(10 * i, {name: value}) for i, value in enumerate(found, 1)]
    best = best_step(scores, name)
    known = [v for v in found if v is not None]
    value = (min if name in ("l1", "patch_distance") else max)(known, default="there is none")
    assert best == next((step for step, table in scores if table[name] == value), None)


def test_patience_ends_when_nothing_was_better_so_often() -> None:
    for found, patience, enough in (
        ([3.0, 2.0, 2.5, 1.9], 2, False),
        ([3.0, 2.0, 2.0, 2.0], 2, True),  # as good is not better
        ([3.0, 4.0, 5.0, 6.0], 0, False),
        ([None, None], 1, False),
    ):
        assert has_stalled([(i, {"l1": v}) for i, v in enumerate(found, 1)], "l1", patience) is enough


def test_only_a_run_that_got_worse_is_told_so() -> None:
    assert advice([]) == ""
    rising = [(step, {"feature_likeness": value}) for step, value in ((200, 0.2), (600, 0.4), (800, 0.5))]
    assert "still rising" in advice(rising)
    assert advice([*rising, (1200, {"feature_likeness": 0.51})]) == ""
    assert advice([(1, {"l1": 0.2}), (2, {"l1": 0.201})]) == ""
    told = advice([(1, {"l1": 0.3}), (2, {"l1": 0.2}), (3, {"l1": 0.25})])
    assert "step 2 (0.2)" in told


def held_out(folder: Path, sources: int, targets: int) -> list[Pair]:
    pairs = []
    for domain, count in enumerate((sources, targets)):
        for n in range(count):
            path = folder / f"{domain}-{n:03d}.png"
            picture = scene(64, 48, seed=100 * domain + n // 2)
            write_picture(path, 255 - picture // 2 if domain else picture)
            pairs.append(Pair((path,), path, "val", (domain, 0), n, domain=domain))
    return pairs


def test_outputs_are_scored_against_both_sides(tmp_path: Path) -> None:
    pairs = held_out(tmp_path / "a", 6, 6)
    inputs = [scene(64, 48, seed=n // 2) for n in range(6)]
    looks, scores = [255 - p // 2 for p in inputs], DomainScores(pairs, lambda p: 255 - p // 2)
    near, far = scores(looks, lambda picture: (255 - picture) * 2), scores(inputs, None)
    assert near["pairs"] == 6
    assert near["patch_distance"] < far["patch_distance"]
    assert near["random_distance"] < far["random_distance"] == pytest.approx(1, abs=0.01)
    assert near["cycle_error"] < 0.01
    assert far["cycle_error"] is None
    assert near["light_correlation"] < -0.9
    assert far["light_correlation"] == pytest.approx(1)
    assert near["temporal_error"] is not None
    few = DomainScores(held_out(tmp_path / "b", 1, 2), None)([flat(0, 64)[:48]], None)
    assert few["patch_distance"] is few["colours_distance"] is None  # too few pictures for a distance
    assert far["colours_distance"] < far["patch_distance"]


def test_a_model_that_is_no_better_than_its_colours_is_said_to_be_so() -> None:
    def said(patch: float | None, colours: float | None, light: float | None) -> list[str]:
        return domain_remarks({"patch_distance": patch, "colours_distance": colours, "light_correlation": light})

    assert said(0.2, 0.5, 0.9) == said(None, None, None) == []
    assert "only colours were" in " ".join(said(0.6, 0.5, 0.9))
    assert "light and dark" in " ".join(said(0.2, None, -0.6))


RISING = [20.0, 21.0, 22.0, 23.5, 24.5]


def words(values: list[float], name: str = "psnr", *, is_over: bool = True, **more: Any) -> TrainingSummary:
    scores = [(200 * n, {name: value, "pairs": 4, **more}) for n, value in enumerate(values, start=1)]
    step = scores[-1][0] if scores else 50
    return TrainingSummary(scores, step, step if is_over else 5000, is_over, 200)


def test_the_course_of_the_score_has_a_name() -> None:
    slow, flat = [20.0, 23.0, 23.9, 24.0, 24.05], [20.0, 24.0, 23.0, 23.5, 23.9]
    cases = ([20.0], Trend.UNKNOWN), (RISING, Trend.RISING), (slow, Trend.SLOW), (flat, Trend.FLAT)
    for values, trend in cases:
        assert words(values).trend is trend
        assert words([1 - value / 100 for value in values], "patch_distance").trend is trend  # lower is better


def test_quality_is_said_in_words() -> None:
    for found, text in (
        (words(RISING), "at 24.5 dB (colours are off by about 6%), still improving."),
        (words([0.8, 0.6], "patch_distance"), "40% of the way to the target"),
        (words([]), "measured at step 200 for the first time"),
        (TrainingSummary([], 50, 100, False, None), "judge the pictures by eye"),
        (words([float("nan")]), "for the first time"),
    ):
        assert text in " ".join(found.quality())


def test_what_to_try_next_follows_from_it() -> None:
    stopped = [20.0, 24.0, 23.0, 23.0, 23.0]
    assert [action for action, _ in words(RISING).next_steps()] == [NextStep.MORE, NextStep.RENDER]
    assert [action for action, _ in words(stopped).next_steps()] == [NextStep.RENDER]
    assert [action for action, _ in words(stopped, is_over=False).next_steps()] == [NextStep.ENOUGH]
    assert words(RISING, is_over=False).next_steps() == []
    worse = [(200, {"psnr": 24.0, "l1": 0.05}), (400, {"psnr": 23.0, "l1": 0.07})]
    assert "by heart" in TrainingSummary(worse, 400, 400, True, 200).hints()[0]


def test_an_hour_more_is_forecast_from_the_curve() -> None:
    steps = (100, 200, 400, 600, 800, 1600)
    scores = [(step, {"psnr": 20 + math.log2(step / 200)}) for step in steps]  # 1 dB a doubling
    found = TrainingSummary(scores, 1600, 1600, True, 100, seconds=1200)  # an hour more: two doublings
    assert found.forecast() == pytest.approx(2)
    assert "an hour more would bring up to 2.0 dB." in found.next_steps()[0][1]
    lower = [(step, {"patch_distance": 1 - score["psnr"] / 100}) for step, score in scores]
    assert TrainingSummary(lower, 1600, 1600, True, 100, seconds=1200).forecast() == pytest.approx(0.02)
    assert TrainingSummary(scores[3:], 1600, 1600, True, 100, seconds=1200).forecast() is None  # too few scorings
    assert TrainingSummary(scores, 1600, 1600, True, 100).forecast() is None  # of unknown time


FIRST = ["stem", "down"]


def test_each_of_the_four_cases_has_its_own_advice() -> None:
    cases = (3, 0.9, FIRST, 1e-4, 250), (50, 0.9, None, 1e-4, 500), (3, -0.2, None, None, 500)
    for distinct, alike, *wanted in (*cases, (50, -0.2, None, None, 1000)):
        found = transfer_advice(distinct, alike, FIRST, 2e-4, 1000)
        assert [*map(found["settings"].get, ("training.freeze", "training.lr")), found["steps"]] == wanted


def test_a_perfect_model_has_all_of_the_picture_a_flat_one_none_and_another_less() -> None:
    target = scene(40, 24, seed=1)
    flat = np.broadcast_to(np.median(target, (0, 1)).astype(np.uint8), target.shape)
    assert likeness([(target, target)]) == 1
    assert likeness([(flat, target)]) == 0
    assert likeness([(255 - target, target)]) < 0
    half = ((target.astype(int) + flat) // 2).astype(np.uint8)
    assert likeness([(half, target), (target, target)]) == pytest.approx(0.75, abs=0.02)


@pytest.mark.usefixtures("one_thread")
def test_a_training_scores_and_shows_what_a_render_delivers(capsys: pytest.CaptureFixture[str]) -> None:
    frames = moving_frames(24, (96, 64))
    write_clip(Path("c.mp4"), frames)
    write_folder(Path("t"), [255 - f for f in frames], [f"{i:03}.png" for i in range(24)])
    settings = {"dataset": TINY["dataset"] | {"val_fraction": 0.25, "full_size_pairs": 2}}
    api.make_dataset("c.mp4", "d", pairing="aligned", target="t", settings=settings)
    table = api.train("d", "m.safetensors", settings=quick_training())
    found = table["delivered"]
    assert (found["pairs"], found["size"]) == (2, [96, 64])
    assert found.keys() == {"pairs", "size", "psnr", "ssim", "sharpness", "bicubic_psnr"}
    assert read_record(Path("m.safetensors")).training["delivered"] == found
    preview, cell = read_picture(Path("m.train/preview.png")), 48
    assert preview.shape[1] == 5 * cell + 6 * 6  # input, output and target, and two parts pixel by pixel
    text = delivered_text(found)
    assert "here 96x64" in Path("m.train/report.html").read_text()
    assert text in said(capsys, 0, "model", "show", "m.safetensors")
    for picture in Path("d/c.full").iterdir():
        picture.unlink()
    plain = api.train("d", "p.safetensors", settings=quick_training())
    assert "delivered" not in plain
    assert read_picture(Path("p.train/preview.png")).shape[1] == 3 * cell + 4 * 6
    assert "Delivered pictures" not in Path("p.train/report.html").read_text()
