"""Colours of one domain that are brought to those of another which shows much the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vidtrans.data.dataset import Pair
from vidtrans.grading import transfer
from vidtrans.grading.transfer import linear_map, transport_colours
from vidtrans.training import unpaired_colours
from vidtrans.training.unpaired_colours import DomainColours
from vidtrans.video.images.picture import write_picture

MIX = np.array([[0.7, 0.1, 0.05], [0.1, 0.6, 0.0], [0.05, 0.0, 0.5]])  # symmetric and positive, as the map is
SHIFT = np.array([0.1, 0.05, 0.02])


def colours(seed: int, count: int = 6000) -> np.ndarray:
    """Colours between some of which there is much, and none that is cut off at an end."""
    random = np.random.default_rng(seed)
    return 0.15 + 0.7 * random.beta(0.7, 0.9, (count, 3)) @ np.array(
        [[0.6, 0.2, 0.2], [0.2, 0.6, 0.2], [0.1, 0.1, 0.8]]
    )


def curved(colour: np.ndarray) -> np.ndarray:
    return colour ** np.array([2.5, 1.0, 0.5])


def test_an_affine_grade_is_found_from_other_colours_and_is_the_same_map_for_networks() -> None:
    found = linear_map(colours(0), colours(1) @ MIX.T + SHIFT)
    seen = colours(2)
    assert np.abs(found(seen) - (seen @ MIX.T + SHIFT)).mean() < 0.01
    assert np.allclose(found.signed()(2 * seen - 1), 2 * found(seen) - 1)


def test_transport_finds_a_curve_that_no_affine_map_is() -> None:
    others = curved(colours(1))
    samples = transport_colours(colours(0), others)
    linear = linear_map(colours(0), others)(samples.before)
    wanted = curved(samples.before)
    assert np.abs(samples.after - wanted).mean() < 0.8 * np.abs(linear - wanted).mean()
    # It comes nearer to the others' distribution, too.
    quantiles = [np.quantile(made, np.linspace(0.05, 0.95, 10), axis=0) for made in (samples.after, linear, others)]
    assert np.abs(quantiles[0] - quantiles[2]).mean() < 0.7 * np.abs(quantiles[1] - quantiles[2]).mean()


def pairs(folder: Path, pictures: list[np.ndarray], domain: int) -> list[Pair]:
    folder.mkdir()
    made = []
    for number, picture in enumerate(pictures):
        path = folder / f"{number:03}.png"
        write_picture(path, picture)
        made.append(Pair((path,), path, "train", (domain, 0), number, domain=domain))
    return made


def test_the_colours_of_a_dataset_are_its_domains_brought_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpaired_colours, "SIZE", 9)
    monkeypatch.setattr(transfer, "COUNT", 1500)
    sources = [np.rint(255 * colours(k, 1200).reshape(30, 40, 3)).astype(np.uint8) for k in range(3)]
    targets = [np.rint(255 * (colours(k, 1200) @ MIX.T + SHIFT).reshape(30, 40, 3)).astype(np.uint8) for k in (5, 6)]
    domains = pairs(tmp_path / "a", sources, 0), pairs(tmp_path / "b", targets, 1)
    found = DomainColours(*domains)
    wanted = sources[0] / 255 @ MIX.T + SHIFT
    assert np.abs(found.apply(sources[0]) / 255 - wanted).mean() < 0.02
    assert np.abs(found.start(sources[0] / 127.5 - 1) - (2 * wanted - 1)).mean() < 0.03
    found.save(tmp_path / "one.safetensors")
    DomainColours(*domains).save(tmp_path / "two.safetensors")
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()
