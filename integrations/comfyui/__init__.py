"""vidtrans for ComfyUI: steady video-to-video nodes that stream films of any length."""

from __future__ import annotations

from .nodes import VidtransExtension

WEB_DIRECTORY = "web"


async def comfy_entrypoint() -> VidtransExtension:
    """Return the nodes to ComfyUI."""
    return VidtransExtension()
