"""The guide on export: its example runs with no vidtrans and no torch."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from chain import vidtrans
from clips import scene

from vidtrans.video.images.picture import read_picture, write_picture

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "export.md"
WITHOUT = "import sys\nsys.modules.update(dict.fromkeys(('vidtrans', 'torch', 'cv2')))\n"  # to import one is an error


@pytest.mark.thorough
def test_the_example_paints_as_a_render_does_without_vidtrans() -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    [example] = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(example.splitlines()) <= 10
    vidtrans("model", "export", "flower", "--format", "onnx", "--whole", "-o", "flower-whole.onnx")
    write_picture(Path("frame.png"), scene(150, 102, seed=1))
    done = subprocess.run([sys.executable, "-c", WITHOUT + example], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "uint8 (N, H, W, 3) RGB" in done.stdout
    options = ("--temporal", "off", "--size", "source", "-o", "render.png")
    vidtrans("stylize", "frame.png", "--model", "flower", *options)
    painted, rendered = (read_picture(Path(name)).astype(int) for name in ("painted.png", "render.png"))
    assert np.abs(painted - rendered).mean() < 1  # a render computes in bf16 where the processor has it
    assert rendered.std() > 10
