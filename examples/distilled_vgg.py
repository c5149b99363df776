"""Write the weights of ``perception.vgg.DistilledVGG`` from a file of the repository Collaborative-Distillation.

    python examples/distilled_vgg.py e4.pth vidtrans/assets/networks/distilled-vgg.safetensors

``e4.pth`` is ``PytorchWCT/trained_models/wct_se_16x_new/4SE.pth`` of MingSun-Tse/Collaborative-Distillation (MIT) at
commit 4a269dc. The heads that lead to VGG's own widths are left out, names are those of VGG's layers, and weights are
stored as float16.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import torch
from safetensors.torch import save_file

SHA256 = "d2f059cbcd6669556a43aadef58d20c8b280462c18b60a9e7424a14dd271cd6b"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    if hashlib.sha256(options.weights.read_bytes()).hexdigest() != SHA256:
        parser.error(f"{options.weights}: its SHA-256 is not that of 4SE.pth at commit 4a269dc")
    weights = {}
    for name, tensor in torch.load(options.weights, map_location="cpu", weights_only=True)["model"].items():
        layer, part = name.split(".")
        if not layer.endswith("_aux"):
            number = layer.removeprefix("conv")
            layer = "colours" if number == "0" else f"conv{number[0]}_{number[1]}"
            weights[f"{layer}.{part}"] = tensor.half().contiguous()
    save_file(weights, options.output)


if __name__ == "__main__":
    main()
