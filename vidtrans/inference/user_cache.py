"""The user's cache folder: engines store compiled networks and results of operator checks for other processes there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

import torch
from platformdirs import user_cache_path

from vidtrans.core.files import digest_of, read_small_json, write_json
from vidtrans.core.machine import processor
from vidtrans.inference.device import Device

CHECK_VERSION = 2  # Version of the comparison in ``operator_checks``; results of other versions are not used
# Environment variable with the folder in which torch.compile stores its results
INDUCTOR_CACHE = "TORCHINDUCTOR_CACHE_DIR"
# The folder that ``use_cache_folder`` has set in this context, or None
_other_folder: ContextVar[Path | None] = ContextVar("engine cache folder", default=None)


@contextmanager
def use_cache_folder(folder: Path) -> Iterator[None]:
    """Use ``folder`` instead of the user's cache folder within this context."""
    previous, token = os.environ.get(INDUCTOR_CACHE), _other_folder.set(folder)
    os.environ[INDUCTOR_CACHE] = str(folder / "inductor")
    try:
        yield
    finally:
        _other_folder.reset(token)
        os.environ.pop(INDUCTOR_CACHE)
        if previous is not None:
            os.environ[INDUCTOR_CACHE] = previous


def cache_folder() -> Path:
    """Return the cache folder, which may not exist yet. Raises RuntimeError if the user has no home folder."""
    folder = _other_folder.get() or user_cache_path("vidtrans")
    if not folder.is_absolute():
        raise RuntimeError("the user has no home folder")
    return folder


def use_inductor_cache(kernels: str) -> None:
    """Let torch.compile store its results for the environment ``kernels``, unless the user has set its variable.

    ``kernels``: see ``kernel_environment``. The variable is ``INDUCTOR_CACHE``. Each value of ``kernels`` has its own
    folder: weights that PyTorch 2.13 packed for one instruction set corrupt a process on a processor with another one,
    for example on machines that share a home folder.
    """
    previous = os.environ.get(INDUCTOR_CACHE)
    # torch itself sets the variable to a folder with this name.
    if previous is not None and not Path(previous).name.startswith("torchinductor_"):
        return
    with suppress(RuntimeError):  # Without a home folder torch uses its default folder
        os.environ[INDUCTOR_CACHE] = str(cache_folder() / "inductor" / digest_of(kernels)[:16])


def kernel_environment(device: Device) -> str:
    """Return all properties, other than shapes, that select kernels: hardware, libraries, threads, variables."""
    if device.kind == "cuda":
        return f"torch {torch.__version__} {device.card} cuDNN {torch.backends.cudnn.version()}"
    if device.kind != "cpu":
        return f"torch {torch.__version__} {device.kind}"
    flags = [torch.cpu._is_avx512_bf16_supported(), torch.cpu._is_amx_tile_supported()]
    hardware = (processor(), torch.backends.cpu.get_cpu_capability(), flags, torch.get_num_threads(), torch.__version__)
    return f"{hardware} {os.environ.get('ONEDNN_MAX_CPU_ISA', '')}"


def cached_check(key: object, device: Device, find: Callable[[], list[str]]) -> list[str]:
    """Return the wrong operators stored under a JSON ``key`` by an earlier process, or store the result of ``find``."""
    name = f"{digest_of([CHECK_VERSION, kernel_environment(device), key])}.json"
    # A RuntimeError means that the user has no home folder.
    with suppress(OSError, RuntimeError, ValueError, KeyError, TypeError):
        return [str(signature) for signature in read_small_json(cache_folder() / "checks" / name)["wrong"]]
    wrong = find()
    with suppress(OSError, RuntimeError):  # If writing fails, the next process repeats the comparison
        write_json(cache_folder() / "checks" / name, {"wrong": wrong})
    return wrong
