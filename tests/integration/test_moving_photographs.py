"""The scenes that looks at once are tuned on: their flow is what they say."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_the_flow_of_a_scene_leads_to_where_things_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    from moving_photographs import SIDE, Scenes

    monkeypatch.delitem(sys.modules, "moving_photographs", raising=False)
    scenes = Scenes()
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    errors, stills = [], []
    for seed in range(6):
        first, second, flow, holds, original = scenes.draw(np.random.default_rng(seed), flat=0.5)
        assert first.shape == second.shape == (SIDE, SIDE, 3)
        assert 0 <= first.min() <= first.max() <= 1
        assert np.abs(cv2.GaussianBlur(first - original, (0, 0), 4)).mean() < 0.02
        back = cv2.remap(first, columns + flow[..., 0], rows + flow[..., 1], cv2.INTER_LINEAR)
        where = holds > 0
        assert where.mean() > 0.3
        errors.append(np.abs(cv2.GaussianBlur(back - second, (0, 0), 2))[where].mean())
        stills.append(np.abs(cv2.GaussianBlur(first - second, (0, 0), 2))[where].mean())
    assert max(errors) < 0.02
    assert max(stills) > 2 * max(errors)
    again = scenes.draw(np.random.default_rng(5), flat=0.5)
    assert np.array_equal(again[0], first)
