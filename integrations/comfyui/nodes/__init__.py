"""The nodes of the pack."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .films import VidtransDeflicker, VidtransDream, VidtransStylize
from .learning import VidtransDataset, VidtransGrade, VidtransLoadModel, VidtransLook, VidtransTrain
from .painting import VidtransFix, VidtransKeyframes, VidtransMatte, VidtransPropagate
from .places import register_models
from .scores import VidtransEvaluate

NODES: list[type[io.ComfyNode]] = [
    VidtransStylize,
    VidtransDeflicker,
    VidtransKeyframes,
    VidtransPropagate,
    VidtransFix,
    VidtransMatte,
    VidtransLook,
    VidtransGrade,
    VidtransDataset,
    VidtransTrain,
    VidtransLoadModel,
    VidtransDream,
    VidtransEvaluate,
]


class VidtransExtension(ComfyExtension):
    """The nodes of vidtrans for ComfyUI."""

    async def on_load(self) -> None:
        """Add the folder of the models."""
        register_models()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Return the nodes."""
        register_models()  # 0.3.64 does not call on_load
        return NODES
