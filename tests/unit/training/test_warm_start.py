"""What ``--from`` takes, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from extractors import TINY_UNET, network

from vidtrans.core.errors import UsageError
from vidtrans.models.model_file import load_generator, save_model
from vidtrans.networks.init import build_generator
from vidtrans.training.warm_start import start_with


@pytest.mark.parametrize(
    ("generator", "ports", "says"),
    [(TINY_UNET, {"in_channels": 1, "invert": True}, "order of colours"), ("style-net", {}, "rendered, not trained")],
)
def test_a_network_of_another_tool_is_refused_in_one_line(generator: Any, ports: dict[str, Any], says: str) -> None:
    """Its weights alone would start from pictures that it never saw: lines in the negative, say."""
    table = TINY_UNET if generator is TINY_UNET else {"name": generator, "settings": {"channels": 4, "blocks": 1}}
    plain, path = network(Path("plain.safetensors")), Path("theirs.safetensors")
    record = replace(load_generator(plain)[1], generator=table, ports=ports, origin={"family": "theirs"})
    channels = record.in_channels
    save_model(path, build_generator(table["name"], table["settings"], channels, ports=ports), record)
    ours = build_generator(TINY_UNET["name"], TINY_UNET["settings"], channels)
    with pytest.raises(UsageError, match=says):
        start_with(ours, path, TINY_UNET["name"], TINY_UNET["settings"], channels)
