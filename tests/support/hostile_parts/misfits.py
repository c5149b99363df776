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
from peer_networks import discriminators
from peer_networks.cut import PatchSampler
from peer_networks.layers import randomise
from peer_networks.pix2pix_cyclegan import ResnetGenerator
from peer_networks.pix2pixhd import FeatureEncoder
from torch import Tensor, nn

from hostile_parts.containers import pickled, saved, specs_of, zip_of, zipped
from hostile_parts.maker import Maker, make_queue

State = OrderedDict[str, Tensor]


def other_networks() -> Iterator[tuple[str, nn.Module, str]]:
    """Yield (name, network, word) of the families' networks that are no generators."""
    for norm in ("batch", "instance", "none"):
        for antialias, tool in ((False, "pix2pix"), (True, "CUT")):
            network = discriminators.PatchDiscriminator(6, 4, norm, antialias)
            yield f"{tool}'s discriminator, norm {norm}", network, "discriminator"
        yield f"a discriminator of pixels, norm {norm}", discriminators.PixelDiscriminator(6, 4, norm), "discriminator"
    yield "a discriminator of 5 layers", discriminators.PatchDiscriminator(3, 4, "instance", layers=5), "discriminator"
    for features in (True, False):
        network = discriminators.MultiscaleDiscriminator(6, 4, 2, features)
        yield f"pix2pixHD's discriminators{', with features' * features}", network, "discriminator"
    yield "SPADE's discriminators", discriminators.SpadeDiscriminator(8, 4, 2), "discriminator"
    yield "SPADE's encoder", discriminators.SpadeEncoder(2), "encoder"
    yield "pix2pixHD's encoder", FeatureEncoder(3, 3, 4, 4, "instance"), "encoder"
    yield "CUT's patch sampler", PatchSampler((3, 16, 32), 16), "CUT"
    yield (
        "an image classifier",
        nn.Sequential(OrderedDict(features=nn.Conv2d(3, 64, 3), classifier=nn.Linear(8, 8))),
        "",
    )


def training_states(state: State) -> Iterator[tuple[str, object, str]]:
    """Yield (name, value, word) of what training saves beside weights, or around them."""
    network = ResnetGenerator(3, 3, 4, 1, "batch")
    optimiser = torch.optim.Adam(network.parameters())
    network(torch.rand(1, 3, 16, 16)).sum().backward()
    optimiser.step()
    yield "an optimiser's state", optimiser.state_dict(), "optimi"
    yield "an optimiser's state, wrapped", {"optimizer": optimiser.state_dict()}, "optimi"
    yield "a scheduler's state", {"base_lrs": [2e-4], "last_epoch": 7, "_step_count": 8}, ""
    lightning = {
        "epoch": 7,
        "global_step": 700,
        "pytorch-lightning_version": "2.1.0",
        "state_dict": OrderedDict((f"generator.{n}", v) for n, v in state.items())
        | OrderedDict((f"discriminator.{n}", v) for n, v in state.items()),
        "loops": {},
        "callbacks": {},
        "optimizer_states": [optimiser.state_dict()],
        "lr_schedulers": [],
    }
    yield "a training checkpoint of Lightning", lightning, "checkpoint"
    both = {"netG": state, "netD": state, "optimizer_G": optimiser.state_dict(), "epoch": 7}
    yield "a training checkpoint of both networks", both, "checkpoint"
    yield "two generators in one file", {"G_A": state, "G_B": state}, ""


def whole_modules() -> Iterator[tuple[str, bytes, str]]:
    """Yield (name, bytes, word) of networks that were pickled whole."""
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Tanh())
    yield "a whole module", saved(network), "module"
    yield "a whole module, in the legacy format", saved(network, _use_new_zipfile_serialization=False), "module"
    yield "a whole module, wrapped", saved({"model": network}), "module"
    yield "a whole module in DataParallel", saved(nn.DataParallel(network)), "module"


def torchscripts() -> Iterator[tuple[str, bytes, str]]:
    """Yield (name, bytes, word) of archives that hold programs."""
    class_name = b"c__torch__\nNet\n"
    data = b"\x80\x02" + class_name + b")\x81}(X\x08\x00\x00\x00training\x89ub."
    code = b"class Net(Module):\n  def forward(self: __torch__.Net, x: Tensor) -> Tensor:\n    return x\n"
    records = {"net/data.pkl": data, "net/constants.pkl": b"\x80\x02).", "net/version": b"3\n"}
    script = records | {"net/code/__torch__.py": code}
    yield "TorchScript", zip_of(script.items()), "TorchScript"
    evil = code.replace(b"return x", b"return ops.aten.from_file('/etc/passwd', True, 10)")
    yield "TorchScript that reads a file", zip_of((script | {"net/code/__torch__.py": evil}).items()), "TorchScript"
    ever = code.replace(b"return x", b"while True:\n      x = x\n    return x")
    yield "TorchScript without an end", zip_of((script | {"net/code/__torch__.py": ever}).items()), "TorchScript"
    yield "TorchScript for phones", zip_of((script | {"net/bytecode.pkl": b"\x80\x02)."}).items()), "TorchScript"
    yield "TorchScript with nothing for code", zip_of(records.items()), ""
    package = {
        "net/.data/version": b"1",
        "net/.data/extern_modules": b"os\n",
        "net/model/model.pkl": b"\x80\x02cos\nsystem\n.",
    }
    yield "a package of torch", zip_of(package.items()), ""
    exported = {"net/archive_format": b"pt2", "net/models/model.json": b"{}", "net/data/weights/0": b""}
    yield "a program of torch.export", zip_of(exported.items()), ""


def other_files(good: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield (name, bytes) of what people take for a model."""
    yield "an empty file", b""
    yield "a page of the web", b"<!DOCTYPE html><html><head><title>404</title></head></html>" * 40
    yield "a pointer to large storage", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 45575747\n"
    yield "a text that Python runs at its start", b"import os; os.system('touch exploded')\n"
    yield "a script", b"#!/bin/sh\ntouch exploded\n"
    yield "a picture", b"\x89PNG\r\n\x1a\n" + bytes(1000)
    yield "zeros", bytes(100_000)
    yield "noise", bytes((n * 7919 + n // 256 * 104729) % 256 for n in range(100_000))
    yield "a compressed checkpoint, with gzip", gzip.compress(good, mtime=0)
    yield "a file of Torch7", b"\x04\x00\x00\x00\x01\x00\x00\x00\x03\x00\x00\x00V 1\x0d\x00\x00\x00nn.Sequential"
    yield "a file of Keras", b"\x89HDF\r\n\x1a\n" + bytes(2000)
    yield "a file of GGUF", b"GGUF" + (3).to_bytes(4, "little") + b"\xff" * 64
    yield "a TensorFlow checkpoint", b"\x00\x00\x00\x00\x57\xfb\x80\x8b\x24\x75\x47\xdb" * 40
    arrays = io.BytesIO()
    np.savez(arrays, **{"model.1.weight": np.zeros((4, 3, 7, 7), np.float32)})
    yield "arrays of numpy", arrays.getvalue()
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        info = tarfile.TarInfo("../../evil")
        archive.addfile(info, io.BytesIO(b""))
    yield "a tar with a path above it", tar.getvalue()


def places() -> Iterator[tuple[str, Any]]:
    """Yield (name, what makes it) of what is at a path and is no file of bytes."""
    yield "a queue", make_queue
    yield "a link to an endless device", lambda path: path.symlink_to("/dev/zero")
    yield "a link to itself", lambda path: path.symlink_to(path.name)
    yield "a link to nothing", lambda path: path.symlink_to("missing")
    yield "an empty folder", Path.mkdir
    yield "a tebibyte of nothing", _tebibyte(b"")
    yield "a tebibyte that begins like a zip", _tebibyte(b"PK\x03\x04")
    yield "a tebibyte that begins like a pickle", _tebibyte(b"\x80\x02")


def _tebibyte(start: bytes) -> Any:
    def make(path: Path) -> None:
        path.write_bytes(start)
        os.truncate(path, 1 << 40)

    return make


def write(maker: Maker, state: State) -> None:
    """Make them. ``state``: a good network's."""
    for name, network, word in other_networks():
        maker.add(name, saved(randomise(network, 0).state_dict()), "latest_net_D.pth", word)
    for name, value, word in training_states(state):
        maker.add(name, saved(value), "last.ckpt", word)
    for name, data, word in (*whole_modules(), *torchscripts()):
        maker.add(name, data, "model.pt", word)
    specs, storages = specs_of(state)
    good = zipped(pickled(specs), storages)
    for name, data in other_files(good):
        maker.add(name, data)
    for name, place in places():
        maker.add(name, place)
    _cut_legacy(maker, saved(state, _use_new_zipfile_serialization=False))


def _cut_legacy(maker: Maker, good: bytes) -> None:
    for part in (1, 14, 30, 100, 500, len(good) // 4, len(good) // 2, len(good) - 100, len(good) - 1):
        maker.add(f"a legacy file cut after {part} bytes", good[:part])
