"""Quick checks of an installation: libraries, device, codecs, disk and presets, with remedies for what is missing.

``self_test`` checks the results that a device computes.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import vidtrans
from vidtrans.core.errors import UsageError, describe_error
from vidtrans.doctor import Finding, State

# Result of a check: state, detail, and the remedy unless the state is "ok"
CheckResult = tuple[State, str] | tuple[State, str, str]
# Libraries whose installed versions are reported
LIBRARIES = ("torch", "av", "opencv-python-headless", "numpy", "scikit-image", "pillow", "safetensors", "click", "rich")
MIN_FREE_GB = 5.0  # Free disk space below which a check gives a note, in GB
REINSTALL = "reinstall vidtrans: pip install --force-reinstall ."  # Remedy for a damaged installation
# Remedy for a damaged FFmpeg, which is part of PyAV
REINSTALL_AV = "pip install --force-reinstall av (its wheel includes FFmpeg)"


def run_checks(device: str = "auto") -> Iterator[Finding]:
    """Yield the finding of each check; an error in a check becomes a finding.

    Raises DeviceError if ``device`` is not available.
    """
    if device != "auto":
        from vidtrans.inference.device import resolve_device

        resolve_device(device)
    checks: dict[str, Callable[[], CheckResult]] = {
        "python": _python,
        "libraries": _libraries,
        "device": partial(_device, device),
        "video": _video,
        "hardware video": _hardware_video,
        "model": partial(_model, device),
        "looks": _looks,
        "strokes": _strokes,
        "folder": _folder,
        "ffmpeg program": _ffmpeg_program,
        "presets": _presets,
    }
    for name, check in checks.items():
        try:
            yield Finding(name, *check())
        except Exception as error:
            if description := describe_error(error):
                yield Finding(name, "wrong", description[0])
            else:
                yield Finding(name, "wrong", f"{type(error).__name__}: {error}", REINSTALL)


def _python() -> CheckResult:
    """Report the versions of Python and vidtrans, and the system."""
    where = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return "ok", f"{platform.python_version()}, vidtrans {vidtrans.__version__}, {where}"


def _libraries() -> CheckResult:
    """Check that all required libraries are installed in new enough versions."""
    required = _required_libraries()
    if missing := [name for name in dict.fromkeys((*LIBRARIES, *required)) if not library_version(name)]:
        return "wrong", f"missing: {', '.join(missing)}", "pip install vidtrans"
    old = {
        name: bounds for name, bounds in required.items() if _release(version(name)) < _release(_lowest_version(bounds))
    }
    if old:
        found = ", ".join(
            f"{name} {version(name)} is too old, {_lowest_version(b)} is needed" for name, b in old.items()
        )
        return "wrong", found, " ".join(["pip install", *(f'"{name}{bounds}"' for name, bounds in old.items())])
    for name in ("opencv-python", "opencv-contrib-python"):
        if library_version(name):
            remedy = f"pip uninstall {name}, then pip install --force-reinstall opencv-python-headless"
            return "note", f"{name} is installed too, and hides opencv-python-headless", remedy
    return "ok", ", ".join(f"{name} {version(name)}" for name in LIBRARIES)


def _required_libraries() -> dict[str, str]:
    """Return the version bounds of the libraries that vidtrans requires: {"av": "<19,>=18.1"}; without extras."""
    try:
        lines = requires("vidtrans") or []
    except PackageNotFoundError:  # vidtrans runs from a checkout.
        return {}
    found = (re.fullmatch(r"([\w.-]+)(?:\[[^]]*\])?\s*\(?([<>=!~][^;)]*)\)?\s*", line) for line in lines)
    return {match[1]: match[2].replace(" ", "") for match in found if match and ">=" in match[2]}


def _lowest_version(bounds: str) -> str:
    """Return the lowest version in version bounds: "18.1" for "<19,>=18.1"."""
    return next(part.removeprefix(">=") for part in bounds.split(",") if part.startswith(">="))


def _release(version: str) -> list[int]:
    """Return the numbers of a version, without trailing zeros, for comparisons: [2, 13] for '2.13.0+cpu'."""
    match = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(number) for number in match[0].split(".")] if match else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return numbers


def library_version(name: str) -> str:
    """Return the version of an installed library; "" if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _device(name: str) -> CheckResult:
    """Check that the device can be used; note an NVIDIA GPU that this torch cannot use."""
    import torch

    from vidtrans.inference.device import resolve_device, resolve_precision

    device = resolve_device(name)
    text = f"{device.name}, {resolve_precision('auto', device)}"
    if device.kind == "cuda":
        card = torch.cuda.get_device_properties(device.torch)
        return "ok", f"{text}: {card.name}, {card.total_memory / 2**30:.0f} GiB"
    if shutil.which("nvidia-smi"):
        remedy = "install the CUDA build of torch for your driver (see pytorch.org): the GPU is many times faster"
        return "note", f"{text}; there is an NVIDIA GPU, but this torch cannot use it", remedy
    return "ok", f"{text}, {torch.get_num_threads()} threads"


def _video() -> CheckResult:
    """Check that FFmpeg has all encoders, and that lossless video is exact."""
    import av
    from av.codec import codecs_available

    from vidtrans.doctor.installation import is_round_trip_lossless
    from vidtrans.video.io.encoding import CODECS

    own = {name: codec for name, codec in CODECS.items() if not codec.software}
    if missing := sorted({c.encoder for c in own.values()} - codecs_available):
        return "wrong", f"this FFmpeg cannot encode {', '.join(missing)}", "pip install av (its wheel)"
    if not is_round_trip_lossless():
        return "wrong", "a lossless video changes when it is written and read back", REINSTALL_AV
    library = ".".join(map(str, av.library_versions["libavcodec"]))
    return "ok", f"libavcodec {library}; writes {', '.join(sorted(own))}; a lossless round trip is exact"


def _hardware_video() -> CheckResult:
    """Report the codecs that the GPU decodes and encodes."""
    from vidtrans.doctor.installation import find_hardware_codecs

    decoded, encoded, why = find_hardware_codecs()
    if not decoded and not encoded:
        return "ok", f"none ({why}); not required: the CPU decodes and encodes"
    reads = f"--decoder nvdec reads {', '.join(decoded) or 'nothing'}"
    return "ok", f"{reads}; --codec writes {', '.join(encoded) or 'nothing with it'}"


def _model(device: str) -> CheckResult:
    """Measure the speed of the bundled model on the device."""
    from vidtrans.doctor.installation import measure_model_fps

    return "ok", f"'flower' runs at about {measure_model_fps('flower', 456, 256, device):.0f} frames/s of 456x256"


def _looks() -> CheckResult:
    """Check the weights of the networks by which styles are compared and looks are scored."""
    from vidtrans.perception import CRITIC, DEFAULT, MEASURES

    for name in (DEFAULT, CRITIC):
        MEASURES.load(name).identity()
    return "ok", f"'vidtrans look' compares {MEASURES[DEFAULT].summary}"


def _strokes() -> CheckResult:
    """Check that there is a folder for the compiled code that paints strokes."""
    from vidtrans.strokes.kernels import cache_folder

    if folder := cache_folder():
        return "ok", f"Numba {version('numba')} compiles what paints once, and keeps it in {folder}"
    remedy = "set NUMBA_CACHE_DIR to a folder that can be written"
    return "note", "each command that paints compiles for about 10 s: there is no folder for compiled code", remedy


def _folder() -> CheckResult:
    """Check that the current folder can be written and its disk has free space."""
    here = Path().absolute()
    free_gb = shutil.disk_usage(here).free / 1e9
    if not os.access(here, os.W_OK):
        return "wrong", f"{here} cannot be written", "work in a folder of your own"
    if free_gb < MIN_FREE_GB:
        remedy = "free some space, run 'vidtrans cache clean', or put --cache-dir on another disk"
        return "note", f"{free_gb:.1f} GB free in {here}", remedy
    return "ok", f"{free_gb:.0f} GB free in {here}"


def _ffmpeg_program() -> CheckResult:
    """Report the user's ffmpeg program, which only some options need."""
    from vidtrans.video.ffmpeg import find_program, program_version

    try:
        program = find_program()
    except UsageError:
        return "ok", "not found; not required (only for --filter and ffmpeg: codecs)"
    try:
        return "ok", f"{program}, {program_version(program)} (only --filter and ffmpeg: codecs)"
    except UsageError as error:
        return "note", str(error), "only --filter and ffmpeg: codecs need it"


def _presets() -> CheckResult:
    """Check that the bundled presets can be read."""
    from vidtrans.config.recipe import preset_names, preset_path, read_tables

    names = preset_names()
    for name in names:
        read_tables(preset_path(name))
    return ("ok", ", ".join(names)) if names else ("wrong", "none found", REINSTALL)
