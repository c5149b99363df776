"""Files for compositors: TorchScript."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import vidtrans as api

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


@pytest.mark.thorough
def test_plain_torch_runs_a_model_as_nuke_wants_it(tmp_path: Path) -> None:
    """CatFileCreator takes a module of one tensor in, one tensor out, (1, C, H, W), float32, from 0 to 1."""
    api.export_model("flower", format="torchscript", whole=True, output=tmp_path / "flower.pt")
    frame = torch.rand(1, 3, 96, 128)
    torch.save(frame, tmp_path / "x.pt")
    arguments = [str(tmp_path / name) for name in ("flower.pt", "x.pt", "y.pt")]
    command = [sys.executable, "-I", "-c", PLAIN_TORCH, *arguments]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path).stdout)
    assert found == {"kinds": ["Tensor", "Tensor"], "shape": [1, 3, 96, 128], "loaded": False}
    painted = torch.load(tmp_path / "y.pt", weights_only=True)
    assert painted.dtype == torch.float32
    assert 0 <= float(painted.min()) < float(painted.max()) <= 1
