"""``clip`` in a ``--look``: the style of the clip's own frames, mixed with pictures' styles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from chain import said_json
from clips import decode, moving_frames
from directed_clip import lossless
from style_pictures import style_pictures, write_style_pictures

from vidtrans.models.at_once import model_at_once
from vidtrans.models.look_pictures import parse_pictures
from vidtrans.session import Context
from vidtrans.video.images.picture import write_picture

Capsys = pytest.CaptureFixture[str]
SMALL = ("--size", "48", "--codec", "ffv1", "--temporal", "off", "--device", "cpu")


@pytest.fixture(autouse=True)
def _clip_and_pictures(tmp_path: Path) -> None:
    lossless(Path("clip.mkv"), moving_frames(8, (96, 64)))
    write_style_pictures(tmp_path)


def norms(look: str, clip: str) -> np.ndarray:
    """Return the predicted norms of the look that a ``--look`` shows first, as one vector."""
    model = model_at_once(parse_pictures(look), Context(device="cpu"), Path(clip))
    state = model.load_generator()[0].state_dict()
    return np.concatenate([v[0].numpy().ravel() for k, v in sorted(state.items()) if ".norm." in k])


@pytest.mark.thorough
def test_the_share_moves_from_the_clips_own_style_to_the_pictures(capsys: Capsys) -> None:
    made = {}
    for share in (0, 0.5, 1):
        look = f"stripes.png: {share}, clip: {1 - share}"
        table = said_json(capsys, "stylize", "clip.mkv", "--look", look, *SMALL, "-o", "o.mkv", "--overwrite")
        assert table["model"] == "stripes+clip"
        made[share] = np.stack(decode(Path("o.mkv"))[2]).astype(int)
    apart = np.abs(made[0] - made[1]).mean()
    assert apart > 5
    for end in (0, 1):
        assert 0.05 * apart < np.abs(made[0.5] - made[end]).mean() < 0.95 * apart
    said_json(capsys, "stylize", "clip.mkv", "--look", "0: clip, 7: stripes.png", *SMALL, "-o", "turn.mkv")
    turned = np.stack(decode(Path("turn.mkv"))[2]).astype(int)
    assert np.abs(turned[0] - made[0][0]).mean() < 3
    assert np.abs(turned[-1] - made[1][-1]).mean() < 3


def test_each_clip_has_its_own_style_without_its_bars() -> None:
    stripes, chequers = (style_pictures()[name] for name in ("stripes", "chequers"))
    lossless(Path("still.mkv"), [stripes] * 7)
    lossless(Path("barred.mkv"), [np.pad(stripes, ((20, 20), (0, 0), (0, 0)))] * 7)
    lossless(Path("other.mkv"), [chequers] * 7)
    own = norms("clip", "still.mkv")
    distances = {name: float(np.abs(norms("clip", name) - own).mean()) for name in ("barred.mkv", "other.mkv")}
    assert distances["barred.mkv"] < 0.3 * distances["other.mkv"]
    assert np.allclose(own, norms("stripes.png", "other.mkv"), atol=1e-3)  # the frames are that picture
    assert np.allclose(norms("stripes.png: 1, clip: 1", "other.mkv"), (own + norms("clip", "other.mkv")) / 2, atol=1e-3)


def test_a_folder_of_pictures_of_several_sizes_is_one_clip(capsys: Capsys) -> None:
    Path("pictures").mkdir()
    for number, picture in enumerate(style_pictures().values()):
        write_picture(Path(f"pictures/{number}.png"), picture[: 64 + 16 * number])
    look = ("--look", "stripes.png: 1, clip: 1", "--size", "48", "--device", "cpu")
    assert said_json(capsys, "stylize", "pictures", *look, "-o", "out")["frames"] == 2
    assert len(list(Path(".vidtrans/at-once").iterdir())) == 1


def test_a_file_of_this_name_comes_first() -> None:
    Path("clip").write_bytes(Path("chequers.png").read_bytes())
    assert not parse_pictures("stripes.png: 1, clip: 1").has_clip
    assert parse_pictures("stripes.png: 1, clip: 1").files == [Path("stripes.png"), Path("clip")]
    Path("clip").unlink()
    assert parse_pictures("stripes.png: 1, clip: 1").has_clip
