"""Which code a frame gets: numbers, pictures, key frames, a look for each shot."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import scene
from made_models import make_coded_model

from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.settings import Time
from vidtrans.curves.curve import CurveClock
from vidtrans.models.loaded_model import LoadedModel, load_model
from vidtrans.rendering.conditions import CodeConditions
from vidtrans.session import Context

pytestmark = pytest.mark.usefixtures("one_thread")
PTS = range(0, 400, 10)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(str(make_coded_model(str(tmp_path_factory.mktemp("model") / "m.safetensors"))), Context())


def frame_pts(moment: Time) -> Fraction:
    return Fraction(10 * int(str(moment)))


def conditions(model: LoadedModel, look: str, shots: tuple[int, ...] = (0,)) -> CodeConditions:
    return CodeConditions(model, look, CurveClock(PTS.__getitem__, frame_pts, float), shots)


def picture(name: str, seed: int) -> str:
    cv2.imwrite(name, scene(64, 48, seed)[..., ::-1])
    return name


def test_a_number_is_the_same_look_every_time_and_lies_where_pictures_lie(model: LoadedModel) -> None:
    assert model.record is not None
    looks = [conditions(model, str(seed)).values(0) for seed in range(100)]
    assert np.array_equal(looks[7], conditions(model, "7").values(39))
    assert len({look.tobytes() for look in looks}) == 100
    codes = (np.array(looks) / 127.5 - 1) * 4
    assert np.allclose(codes.mean(0), model.record.codes["mean"], atol=0.15)
    assert np.allclose(codes.std(0), model.record.codes["spread"], rtol=0.25)


def test_a_picture_has_its_code_whatever_its_size(model: LoadedModel) -> None:
    small, other = picture("a.png", 1), picture("b.png", 2)
    large = cv2.resize(scene(64, 48, 1), (256, 192), interpolation=cv2.INTER_LINEAR)
    cv2.imwrite("large.png", large[..., ::-1])
    one, two, enlarged = (conditions(model, name).values(0).astype(int) for name in (small, other, "large.png"))
    assert not np.array_equal(one, two)
    assert np.abs(enlarged - one).max() <= np.abs(two - one).max() / 2


def test_every_shot_has_its_own_look_and_none_changes_within_it(model: LoadedModel) -> None:
    made = conditions(model, "shots:5", shots=(0, 12, 30))
    spans = [range(12), range(12, 30), range(30, 40)]
    looks = [{made.values(frame).tobytes() for frame in span} for span in spans]
    assert [len(one) for one in looks] == [1, 1, 1]
    assert len(set.union(*looks)) == 3
    # A shot keeps its look where later ones are cut otherwise.
    assert np.array_equal(conditions(model, "shots:5", shots=(0, 12)).values(20), made.values(20))
    assert not np.array_equal(conditions(model, "shots:6", shots=(0, 12, 30)).values(20), made.values(20))


def test_keys_hold_codes_and_not_names(model: LoadedModel) -> None:
    first = conditions(model, picture("a.png", 1)).for_key()
    Path("b.png").write_bytes(Path("a.png").read_bytes())
    assert conditions(model, "b.png").for_key() == first
    picture("a.png", 2)
    assert conditions(model, "a.png").for_key() != first
    assert conditions(model, "0: 1, 9: 2").for_key() != conditions(model, "0: 1, 8: 2").for_key()
    shots = [conditions(model, "shots:1", shots=s).for_key() for s in ((0, 9), (0, 8))]
    assert shots[0] != shots[1]


@pytest.mark.parametrize(
    ("look", "why"),
    [
        *((look, "takes a number or a picture") for look in ("ink", "-3", "1.5")),
        *((look, "there is no such file") for look in ("gone.png", "0: 1, 5: gone.png")),
        ("5: 1, 0: 2", "not in order"),
        *((look, "after 'shots:' comes a number") for look in ("shots:", "shots:ink")),
    ],
)
def test_what_is_no_look_is_refused(model: LoadedModel, look: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        conditions(model, look)


def test_a_damaged_picture_is_refused_by_its_name(model: LoadedModel) -> None:
    Path("bad.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    with pytest.raises(MediaError, match=r"--look bad\.png"):
        conditions(model, "bad.png")
