"""``vidtrans matte --model``: a user's own segmenter instead of painted frames."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from chain import refuse, said, said_json
from clips import decode, pictures_of, write_folder
from made_models import make_model
from things import clip_of, moving_thing, overlap, write_mask
from torch import Tensor, nn

pytest.importorskip("onnx", reason="onnx is not installed: pip install 'vidtrans[onnx]'")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'vidtrans[onnx]'")

Capsys = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("one_thread")
COUNT = 34  # more than one block


class Segmenter(nn.Module):
    """White where a picture is more orange than blue, after a blur."""

    def __init__(self) -> None:
        super().__init__()
        self.blur = nn.AvgPool2d(3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(20 * self.blur(x[:, :1] - x[:, 2:]) - 4)


@pytest.fixture
def segmenter(capsys: Capsys) -> Path:
    """A TorchScript segmenter, imported as its author's friend would."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(Segmenter(), torch.rand(1, 3, 32, 32)), "net.pt")
    assert "--trust" in refuse(capsys, 2, "model", "import", "net.pt", "--pairing", "none", "-o", "seg.safetensors")
    command = ("model", "import", "net.pt", "--trust", "--pairing", "none", "--range", "0..1", "--size", "120")
    said(capsys, 0, *command, "-o", "seg.safetensors")
    return Path("seg.safetensors")


def test_a_segmenter_of_ones_own_gives_the_matte(segmenter: Path, capsys: Capsys) -> None:
    frames, mattes = moving_thing(COUNT, hidden=range(10, 14))
    clip_of(frames)
    command = ("matte", "c.mkv", "--model", segmenter)
    dry = said_json(capsys, *command, "--dry-run")
    assert dry["dry_run"]
    table = said_json(capsys, *command)
    assert (table["output"], table["frames"], table["keyframes"]) == ("c.matte.mkv", COUNT, [])
    made = decode(Path("c.matte.mkv"))[2]
    seen = [n for n in range(COUNT) if n not in range(10, 14)]
    assert np.mean([overlap(made[n], mattes[n]) for n in seen]) > 0.9
    assert max(int(made[n].max()) for n in (11, 12)) < 64
    assert min(table["confidences"][n] for n in seen) > 0.6
    assert Path("c.matte.mkv.sheet.png").is_file()
    assert not Path("c.matte.mkv.painted.png").exists()
    assert said_json(capsys, *command)["cached"]
    grown = said_json(capsys, *command, "--grow", "3", "--overwrite")
    assert grown["frames_encoded"] == COUNT
    assert decode(Path("c.matte.mkv"))[2][0].astype(int).sum() > made[0].astype(int).sum()
    cut = said_json(capsys, *command, "--with-colours", "-o", "cut.mov", "--end", "3")
    assert cut["alpha"]
    said(capsys, 0, "stylize", "c.mkv", "--mask", "t=c.matte.mkv", "--region", "t=identity", "-o", "s.mkv")


@pytest.mark.thorough
def test_a_folder_of_pictures_and_settings_of_the_folder(segmenter: Path, capsys: Capsys) -> None:
    frames, mattes = moving_thing(12)
    write_folder(Path("pics"), frames)
    command = ("matte", "pics", "--model", segmenter, "--set", "rendering.picture_fps=4", "-o")
    table = said_json(capsys, *command, "part", "--start", "1s", "--end", "2s")
    assert table["frames"] == 4
    made = pictures_of(Path("part"))
    assert np.mean([overlap(made[f"{n}.png"], mattes[n]) for n in range(4, 8)]) > 0.9
    Path("vidtrans.toml").write_text('[temporal]\nname = "causal"\n[rendering]\nsize = "40"\n')
    said(capsys, 0, *command, "again", "--start", "1s", "--end", "2s", "--cache-dir", "other")
    assert all(np.array_equal(made[name], one) for name, one in pictures_of(Path("again")).items())


@pytest.mark.thorough
def test_a_batch_of_clips_has_one_segmenter(segmenter: Path, capsys: Capsys) -> None:
    for name in ("a", "b"):
        clip_of(moving_thing(3)[0], f"{name}.mkv")
    table = said_json(capsys, "matte", "a.mkv", "b.mkv", "--model", segmenter, "-o", "made")
    assert len(table["items"]) == 2
    assert {path.name for path in Path("made").glob("*.mkv")} == {"a.matte.mkv", "b.matte.mkv"}


def test_what_is_no_segmenter_is_refused_in_a_line(capsys: Capsys) -> None:
    frames, mattes = moving_thing(3)
    clip_of(frames)
    write_mask("0.png", mattes[0])
    make_model("look.safetensors", "aligned", seed=3)
    make_model("hole.safetensors", "inpaint")
    for flags, status, text in (
        (("--model", "nowhere"), 3, "no model of this name"),
        (("--model", "identity"), 2, "it paints nothing"),
        (("--model", "look"), 3, "its pictures are coloured, and a matte is grey"),
        (("--model", "hole"), 2, "its input is more than the frame"),
        (("--model", "look", "--suggest", "2"), 2, "frames are not painted with --model"),
        (("--model", "look", "--frame", "0=0.png"), 2, "the model finds one thing by itself"),
        (("--model", "look", "--names", "a=red,b=blue"), 2, "the model finds one thing by itself"),
    ):
        assert text in refuse(capsys, status, "matte", "c.mkv", *flags, "-o", "m.mkv")
