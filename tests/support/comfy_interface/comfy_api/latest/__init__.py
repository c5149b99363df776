"""Stand-in for ``comfy_api.latest``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from . import io, ui


class ComfyExtension:
    async def on_load(self) -> None: ...

    async def get_node_list(self) -> list[type[io.ComfyNode]]: ...


class VideoFromFile:
    def __init__(self, file: Any) -> None:
        self.file = file

    def get_stream_source(self) -> Any:
        return self.file

    def get_container_format(self) -> str:
        return "mov,mp4,m4a,3gp,3g2,mj2"


class VideoFromComponents:
    def __init__(self, components: Any) -> None:
        self.components = components

    def get_components(self) -> Any:
        return self.components

    def get_stream_source(self) -> Any:
        raise AssertionError("it would be encoded in memory, with loss")


InputImpl = SimpleNamespace(VideoFromFile=VideoFromFile, VideoFromComponents=VideoFromComponents)
__all__ = ["ComfyExtension", "InputImpl", "io", "ui"]
