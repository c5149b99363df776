"""vidtrans for ComfyUI: steady video-to-video nodes that stream films of any length."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .nodes.commands import NODES
from .nodes.places import register_models

WEB_DIRECTORY = "web"


class VidtransExtension(ComfyExtension):
    """The nodes of vidtrans for ComfyUI."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        register_models()  # here, as ComfyUI 0.3.64 does not call on_load
        return NODES


async def comfy_entrypoint() -> VidtransExtension:
    return VidtransExtension()
