"""Good files of another kind, which must be called what they are, and things that are no files at all."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peer_networks import not_generators as others
from peer_networks.pix2pixhd import GlobalGenerator
from torch import Tensor, nn

from hostile_parts.containers import pickled, saved, specs_of, zip_of, zipped
from hostile_parts.maker import Maker, make_queue

State = OrderedDict[str, Tensor]


def other_networks() -> Iterator[tuple[str, others.Weights, str]]:
    """Yield (name, network, word) of the families' networks that are no generators."""
    yield "pix2pix's discriminator", others.patch_discriminator(6, 4, "batch"), "discriminator"
    yield "CUT's discriminator", others.patch_discriminator(3, 4, "instance", blur=True), "discriminator"
    yield "a discriminator of 5 layers", others.patch_discriminator(3, 4, "none", layers=5), "discriminator"
    yield "a discriminator of pixels", others.pixel_discriminator(6, 4), "discriminator"
    hd = others.multiscale_discriminator("layer{}.0", "layer{}.2", "layer{}.5")
    yield "pix2pixHD's discriminators", hd, "discriminator"
    hd = others.multiscale_discriminator("scale{}_layer0.0", "scale{}_layer1.0", "scale{}_layer4.0")
    yield "pix2pixHD's discriminators, with features", hd, "discriminator"
    spade = others.multiscale_discriminator(*(f"discriminator_{{}}.model{n}.0" for n in (0, 1, 4)))
    yield "SPADE's discriminators", spade, "discriminator"
    yield "pix2pixHD's encoder", GlobalGenerator(3, 3, 4, 4, 0, "instance"), "encoder"
    yield "CUT's patch sampler", others.patch_sampler((3, 16, 32), 16), "CUT"


def training_states(state: State) -> Iterator[tuple[str, object, str]]:
    """Yield (name, value, word) of what training saves beside weights, or around them."""
    moments = {n: {"step": torch.tensor(1.0), "exp_avg": v, "exp_avg_sq": v} for n, v in enumerate(state.values())}
    optimiser = {"state": moments, "param_groups": [{"lr": 2e-4, "betas": (0.5, 0.999), "params": list(moments)}]}
    yield "an optimiser's state", optimiser, "optimi"
    yield "an optimiser's state, wrapped", {"optimizer": optimiser}, "optimi"
    yield "a scheduler's state", {"base_lrs": [2e-4], "last_epoch": 7, "_step_count": 8}, ""
    lightning = {"epoch": 7, "pytorch-lightning_version": "2.1.0", "optimizer_states": [optimiser], "loops": {}}
    named = OrderedDict((f"{net}.{name}", v) for net in ("generator", "discriminator") for name, v in state.items())
    yield "a training checkpoint of Lightning", lightning | {"state_dict": named}, "checkpoint"
    both = {"netG": state, "netD": state, "optimizer_G": optimiser, "epoch": 7}
    yield "a training checkpoint of both networks", both, "checkpoint"
    yield "two generators in one file", {"G_A": state, "G_B": state}, ""


def programs() -> Iterator[tuple[str, bytes, str]]:
    """Yield (name, bytes, word) of networks that were pickled whole, and of archives that hold programs."""
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Tanh())
    yield "a whole module", saved(network), "module"
    yield "a whole module, in the legacy format", saved(network, _use_new_zipfile_serialization=False), "module"
    yield "a whole module, wrapped", saved({"model": network}), "module"
    data = b"\x80\x02c__torch__\nNet\n)\x81}(X\x08\x00\x00\x00training\x89ub."
    code = (
        b"class Net(Module):\n  def forward(self: __torch__.Net, x: Tensor) -> Tensor:\n    while True:\n      x = x\n"
    )
    records = {"net/data.pkl": data, "net/constants.pkl": b"\x80\x02).", "net/version": b"3\n"}
    script = records | {"net/code/__torch__.py": code}
    yield "TorchScript without an end", zip_of(script.items()), "TorchScript"
    yield "TorchScript for phones", zip_of((script | {"net/bytecode.pkl": b"\x80\x02)."}).items()), "TorchScript"
    yield "TorchScript with nothing for code", zip_of(records.items()), ""
    package = {"net/.data/version": b"1", "net/model/model.pkl": b"\x80\x02cos\nsystem\n."}
    yield "a package of torch", zip_of(package.items()), ""
    exported = {"net/archive_format": b"pt2", "net/models/model.json": b"{}", "net/data/weights/0": b""}
    yield "a program of torch.export", zip_of(exported.items()), ""


def other_files(good: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield (name, bytes) of what people take for a model."""
    yield "an empty file", b""
    yield "a page of the web", b"<!DOCTYPE html><html><head><title>404</title></head></html>" * 40
    yield "a pointer to large storage", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 45575747\n"
    yield "a script", b"#!/bin/sh\ntouch exploded\n"
    yield "a picture", b"\x89PNG\r\n\x1a\n" + bytes(1000)
    yield "zeros", bytes(100_000)
    yield "noise", np.random.default_rng(0).bytes(100_000)
    yield "a compressed checkpoint, with gzip", gzip.compress(good, mtime=0)
    yield "a file of Torch7", b"\x04\x00\x00\x00\x01\x00\x00\x00\x03\x00\x00\x00V 1\x0d\x00\x00\x00nn.Sequential"
    yield "a file of Keras", b"\x89HDF\r\n\x1a\n" + bytes(2000)
    yield "a file of GGUF", b"GGUF" + (3).to_bytes(4, "little") + b"\xff" * 64
    arrays = io.BytesIO()
    np.savez(arrays, **{"model.1.weight": np.zeros((4, 3, 7, 7), np.float32)})
    yield "arrays of numpy", arrays.getvalue()
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../../evil"), io.BytesIO(b""))
    yield "a tar with a path above it", tar.getvalue()


def places() -> Iterator[tuple[str, Any]]:
    """Yield (name, what makes it) of what is at a path and is no file of bytes."""
    yield "a queue", make_queue
    yield "a link to an endless device", lambda path: path.symlink_to("/dev/zero")
    yield "a link to itself", lambda path: path.symlink_to(path.name)
    yield "a link to nothing", lambda path: path.symlink_to("missing")
    yield "an empty folder", Path.mkdir
    for name, start in {"nothing": b"", "a zip": b"PK\x03\x04", "a pickle": b"\x80\x02"}.items():
        yield f"a tebibyte that begins like {name}", _tebibyte(start)


def _tebibyte(start: bytes) -> Any:
    def make(path: Path) -> None:
        path.write_bytes(start)
        os.truncate(path, 1 << 40)

    return make


def write(maker: Maker, state: State) -> None:
    """Make them. ``state``: a good network's."""
    for name, network, word in other_networks():
        maker.add(name, saved(network.state_dict()), "latest_net_D.pth", word)
    for name, value, word in training_states(state):
        maker.add(name, saved(value), "last.ckpt", word)
    for name, data, word in programs():
        maker.add(name, data, "model.pt", word)
    specs, storages = specs_of(state)
    for name, data in other_files(zipped(pickled(specs), storages)):
        maker.add(name, data)
    for name, place in places():
        maker.add(name, place)
    good = saved(state, _use_new_zipfile_serialization=False)
    for part in (1, 30, 500, len(good) // 2, len(good) - 1):
        maker.add(f"a legacy file cut after {part} bytes", good[:part])
