"""Is everything here that a render needs? What is missing is named, with what to do."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import vidtrans
from vidtrans.errors import VidtransError

State = Literal["ok", "note", "wrong"]
LIBRARIES = ("torch", "av", "opencv-python-headless", "numpy", "scikit-image", "pillow", "safetensors", "click", "rich")
LEAST_FREE_GB = 5.0
REINSTALL_AV = "pip install --force-reinstall av (its wheel brings FFmpeg along)"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; ``remedy`` says what to do where it is not as it should be."""

    name: str
    state: State
    detail: str
    remedy: str = ""


def examine() -> Iterator[Finding]:
    """Look at one thing after another. Nothing here raises: what fails is a finding."""
    checks: tuple[tuple[str, Callable[[], Finding]], ...] = (
        ("python", _python),
        ("libraries", _libraries),
        ("device", _device),
        ("video", _video),
        ("model", _model),
        ("folder", _folder),
        ("ffmpeg program", _program),
        ("presets", _presets),
    )
    for name, check in checks:
        try:
            yield check()
        except Exception as error:
            known = isinstance(error, VidtransError)
            why = str(error) if known else f"{type(error).__name__}: {error}"
            yield Finding(name, "wrong", why, "" if known else "install vidtrans anew: pip install --force-reinstall .")


def _python() -> Finding:
    where = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return Finding("python", "ok", f"{platform.python_version()}, vidtrans {vidtrans.__version__}, {where}")


def _libraries() -> Finding:
    missing = [name for name in LIBRARIES if not _installed(name)]
    if missing:
        return Finding("libraries", "wrong", f"missing: {', '.join(missing)}", "pip install vidtrans")
    headful = [n for n in ("opencv-python", "opencv-contrib-python") if _installed(n)]
    if headful:
        why = f"{headful[0]} is installed beside opencv-python-headless, and hides it"
        remedy = f"pip uninstall {headful[0]}, then pip install --force-reinstall opencv-python-headless"
        return Finding("libraries", "note", why, remedy)
    return Finding("libraries", "ok", ", ".join(f"{name} {version(name)}" for name in LIBRARIES))


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _device() -> Finding:
    import torch

    from vidtrans.inference.device import resolve_device, resolve_precision

    device = resolve_device("auto")
    words = f"{device.name}, {resolve_precision('auto', device)}"
    if device.kind == "cuda":
        card = torch.cuda.get_device_properties(device.torch)
        return Finding("device", "ok", f"{words}: {card.name}, {card.total_memory / 2**30:.0f} GiB")
    if shutil.which("nvidia-smi"):
        remedy = "install the CUDA build of torch for your driver (see pytorch.org), the GPU is many times faster"
        return Finding("device", "note", f"{words}; an NVIDIA GPU is here, and this torch cannot use it", remedy)
    return Finding("device", "ok", f"{words}, {torch.get_num_threads()} threads")


def _video() -> Finding:
    import av
    from av.codec import codecs_available

    from vidtrans.rendering.self_test import lossless_round_trip_is_exact
    from vidtrans.video.io.codecs import CODECS

    missing = sorted({c.encoder for c in CODECS.values()} - codecs_available)
    if missing:
        return Finding(
            "video", "wrong", f"this FFmpeg cannot encode {', '.join(missing)}", "pip install av (its wheel)"
        )
    if not lossless_round_trip_is_exact():
        return Finding("video", "wrong", "what is written losslessly comes back changed", REINSTALL_AV)
    library = ".".join(map(str, av.library_versions["libavcodec"]))
    codecs = ", ".join(sorted(CODECS))
    return Finding("video", "ok", f"libavcodec {library}; writes {codecs}; a lossless round trip is exact")


def _model() -> Finding:
    from vidtrans.rendering.self_test import model_rate

    rate = model_rate("flower", 456, 256)
    return Finding("model", "ok", f"'flower' runs at about {rate:.0f} frames/s of 456x256")


def _folder() -> Finding:
    here = Path().absolute()
    free = shutil.disk_usage(here).free / 1e9
    if not os.access(here, os.W_OK):
        return Finding("folder", "wrong", f"{here} cannot be written", "work in a folder of your own")
    if free < LEAST_FREE_GB:
        remedy = "free some space, run 'vidtrans cache clean', or put --cache-dir on another disk"
        return Finding("folder", "note", f"{free:.1f} GB free in {here}", remedy)
    return Finding("folder", "ok", f"{free:.0f} GB free in {here}")


def _program() -> Finding:
    from vidtrans.errors import UsageError
    from vidtrans.video.external.program import find_program, program_version

    try:
        program = find_program()
    except UsageError:
        return Finding("ffmpeg program", "ok", "none, and none is needed (only for --filter and ffmpeg: codecs)")
    try:
        return Finding(
            "ffmpeg program", "ok", f"{program}, {program_version(program)} (only --filter and ffmpeg: codecs)"
        )
    except UsageError as error:
        return Finding("ffmpeg program", "note", str(error), "only --filter and ffmpeg: codecs need it")


def _presets() -> Finding:
    from vidtrans.config.recipe import preset_names, preset_path, read_tables

    names = preset_names()
    for name in names:
        read_tables(preset_path(name))
    if not names:
        return Finding("presets", "wrong", "none found", "install vidtrans anew: pip install --force-reinstall .")
    return Finding("presets", "ok", ", ".join(names))
