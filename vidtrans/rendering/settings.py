"""How a model is rendered onto a video."""

from __future__ import annotations

from dataclasses import dataclass

from vidtrans.settings import setting


@dataclass(frozen=True)
class RenderingSettings:
    """Working size, chunks and precision."""

    size: str = setting("trained", "short side in pixels, WxH, source, or trained: the one trained at")
    chunk_frames: int = setting(60, "frames saved at once; a crash costs at most these", low=1, high=100_000)
    precision: str = setting("auto", "auto takes bf16 where the device has it", choices=("auto", "fp32", "bf16"))
