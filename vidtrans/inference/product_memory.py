"""Cache of this machine's product checks, in the user's cache folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

import torch

from vidtrans.core.files import digest_of, read_small_json, write_json
from vidtrans.core.machine import processor
from vidtrans.inference.device import Device
from vidtrans.inference.user_cache import cache_folder

CHECK_VERSION = 2  # of what is compared, and how


def environment(device: Device) -> str:
    """Return what decides the kernels beside shapes: hardware, libraries, threads, and variables that choose them."""
    if device.kind == "cuda":
        return f"torch {torch.__version__} {device.card} cuDNN {torch.backends.cudnn.version()}"
    if device.kind != "cpu":
        return f"torch {torch.__version__} {device.kind}"
    flags = [torch.cpu._is_avx512_bf16_supported(), torch.cpu._is_amx_tile_supported()]
    own = (processor(), torch.backends.cpu.get_cpu_capability(), flags, torch.get_num_threads(), torch.__version__)
    return f"{own} {os.environ.get('ONEDNN_MAX_CPU_ISA', '')}"


def remembered(question: object, device: Device, find: Callable[[], list[str]]) -> list[str]:
    """Return what ``find`` finds wrong for a ``question`` (JSON), or what another process found on this machine."""
    name = f"{digest_of([CHECK_VERSION, environment(device), question])}.json"
    # RuntimeError: the user has no home folder.
    with suppress(OSError, RuntimeError, ValueError, KeyError, TypeError):
        return [str(signature) for signature in read_small_json(cache_folder() / "checks" / name)["wrong"]]
    wrong = find()
    with suppress(OSError, RuntimeError):  # a full disk or a read-only folder costs the next process a comparison
        write_json(cache_folder() / "checks" / name, {"wrong": wrong})
    return wrong
