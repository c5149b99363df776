"""Files for editors and compositors: colour tables, OpenEXR, TorchScript.

OpenColorIO and OpenEXR are not dependencies: their tests skip where they are not installed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numbered_media import picture

import vidtrans as api
from vidtrans.interop.cube import write_cube

# Runs without vidtrans: the file, the picture and the result are its arguments.
PLAIN_TORCH = """
import json, sys
import torch
assert not any(name.startswith("vidtrans") for name in sys.modules)
module = torch.jit.load(sys.argv[1])
schema = module.forward.schema
picture = torch.load(sys.argv[2], weights_only=True)
with torch.no_grad():
    result = module(picture)
torch.save(result, sys.argv[3])
kinds = [str(one.type) for one in (*schema.arguments[1:], *schema.returns)]
print(json.dumps({"kinds": kinds, "shape": list(result.shape), "loaded": "vidtrans" in sys.modules}))
"""


def _noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape)


def _graded(folder: Path) -> Path:
    """Write a colour table as ``vidtrans grade`` does."""
    axis = np.linspace(0, 1, 33)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    nodes = np.stack([red**0.8, 0.9 * green + 0.1 * red * blue, np.sin(blue * np.pi / 2)], axis=-1)
    write_cube(folder / "film.cube", nodes, "a film")
    return folder / "film.cube"


def test_opencolorio_applies_a_colour_table_as_vidtrans_does(tmp_path: Path) -> None:
    ocio = pytest.importorskip("PyOpenColorIO", reason="OpenColorIO is not installed")
    cube = _graded(tmp_path)
    source = np.round(_noise((64, 64, 3), 1) * 65535).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "x.png"), source[..., ::-1])
    api.stylize(tmp_path / "x.png", model=str(cube), output=tmp_path / "y.png")
    own = cv2.imread(str(tmp_path / "y.png"), cv2.IMREAD_UNCHANGED)[..., ::-1] / 65535
    for interpolation, most in ((ocio.INTERP_LINEAR, 0.1 / 1023), (ocio.INTERP_TETRAHEDRAL, 1 / 1023)):
        transform = ocio.FileTransform(str(cube), interpolation=interpolation)
        pixels = (source / 65535).astype(np.float32)
        ocio.Config.CreateRaw().getProcessor(transform).getDefaultCPUProcessor().applyRGB(pixels)
        assert np.abs(np.clip(pixels, 0, 1) - own).max() < most


def test_openexr_reads_the_frames_of_a_render(tmp_path: Path) -> None:
    openexr = pytest.importorskip("OpenEXR", reason="OpenEXR is not installed")
    (tmp_path / "in").mkdir()
    for number in (1001, 1002):
        cv2.imwrite(str(tmp_path / "in" / f"shot.{number}.png"), picture(number))
    api.stylize(tmp_path / "in", model="identity", output=tmp_path / "out", codec="exr")
    files = sorted((tmp_path / "out").iterdir())
    assert [file.name for file in files] == ["shot.1001.exr", "shot.1002.exr"]
    for file, number in zip(files, (1001, 1002), strict=True):
        with openexr.File(str(file)) as read:
            assert {channel.name for channel in read.header()["channels"]} == {"R", "G", "B"}
            pixels = read.channels()["RGB"].pixels
        assert pixels.dtype == np.float16
        display = picture(number) / 255
        linear = np.where(display <= 0.04045, display / 12.92, ((display + 0.055) / 1.055) ** 2.4)
        assert np.abs(pixels - linear).max() < 0.001


@pytest.mark.thorough
def test_plain_torch_runs_a_model_as_nuke_wants_it(tmp_path: Path) -> None:
    """CatFileCreator takes a module of one tensor in, one tensor out, (1, C, H, W), float32, from 0 to 1."""
    api.export_model("flower", format="torchscript", whole=True, output=tmp_path / "flower.pt")
    frame = torch.from_numpy(_noise((1, 3, 96, 128)).astype(np.float32))
    torch.save(frame, tmp_path / "x.pt")
    arguments = [str(tmp_path / name) for name in ("flower.pt", "x.pt", "y.pt")]
    command = [sys.executable, "-I", "-c", PLAIN_TORCH, *arguments]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path).stdout)
    assert found == {"kinds": ["Tensor", "Tensor"], "shape": [1, 3, 96, 128], "loaded": False}
    painted = torch.load(tmp_path / "y.pt", weights_only=True)
    assert painted.dtype == torch.float32
    assert 0 <= float(painted.min()) < float(painted.max()) <= 1
