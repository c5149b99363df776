"""Devices: which engine each one gets, and how an error that means too little memory is recognised."""

from __future__ import annotations

import pytest

from vidtrans.inference import choice
from vidtrans.inference.device import Device


def test_auto_is_torch_on_a_gpu_even_where_compile_could_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "find_spec", lambda name: object())  # as if triton and all else were installed
    for device in (Device("cuda", "cuda"), Device("cuda:1", "cuda"), Device("mps", "mps")):
        assert choice.choose("auto", device, "fp32") == "torch"
        assert choice.choose("compile", device, "fp32") == "compile"
