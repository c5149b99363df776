"""``vidtrans.import_model`` and ``vidtrans.export_model``: the commands' results, from Python."""

from __future__ import annotations

from pathlib import Path

import torch
from peer_variants import VARIANTS, save_variant

import vidtrans
from vidtrans.models.model_file import load_generator

UNET = next(v for v in VARIANTS if v.family == "pix2pix-unet" and v.in_channels == v.out_channels == 3)


def test_a_model_comes_in_and_goes_out_again_under_its_own_names() -> None:
    theirs = save_variant(UNET, Path("theirs.pth"), "zip")
    card = {"card": {"author": "A. Painter"}}
    made = vidtrans.import_model("theirs.pth", "ours.safetensors", pairing="edges", size=128, settings=card)
    assert (made["family"], made["pairing"], made["working_size"]) == ("pix2pix-unet", "edges", 128)
    record = load_generator(Path("ours.safetensors"))[1]
    assert record.card["author"] == "A. Painter"
    assert record.ports["invert"] is True
    vidtrans.export_model("ours", "pth", "back.pth")
    back = torch.load("back.pth", weights_only=True)
    assert all(torch.equal(tensor, back[name]) for name, tensor in theirs.state_dict().items())
