"""``vidtrans live`` as the studio offers it: the same session and options, without those of the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vidtrans.commands.base import build
from vidtrans.commands.live import Live
from vidtrans.commands.page_commands import PageCommands
from vidtrans.core.events import Report
from vidtrans.core.machine import release_cached_memory
from vidtrans.core.parameters import Group
from vidtrans.core.settings import Table
from vidtrans.session import Context

if TYPE_CHECKING:
    from vidtrans.live.app import LivePages

NAME = "live"


class PageLive(PageCommands):
    """The command of the page's live room. ``folder``: where recordings go; models and pictures are read from it."""

    def __init__(self, check_path: Callable[[str], None], folder: Path) -> None:
        super().__init__(check_path)
        self._folder = folder

    def names(self) -> list[str]:
        """Return the name of the command, the only one."""
        return [NAME]

    def schema(self, name: str = NAME) -> Table:
        """Return the JSON Schema of the command without the options of its server and its output. Raises UsageError."""
        schema = super().schema(name)
        left_out = (Group.SERVER, Group.OUTPUT)
        offered = schema["properties"].items()
        schema["properties"] = {key: value for key, value in offered if value.get("x-group") not in left_out}
        return schema

    def line(self, values: Mapping[str, object]) -> list[str]:
        """Return the words of the command line, without ``vidtrans``. Raises UsageError."""
        return self.words(NAME, values)

    def open(self, values: Mapping[str, object], report: Report) -> LivePages:
        """Open a session. Takes seconds. Raises UsageError, ModelError, MediaError, DeviceError."""
        from vidtrans.live.app import LivePages

        given, preset = self.given(NAME, values)
        command, options = build(Live, given, preset)
        assert isinstance(command, Live)
        context = Context(**options, report=report)
        hub, worker = replace(command, output=self._folder).open(context)

        def release() -> None:
            context.engines.clear()
            release_cached_memory(context.device_kind)  # for the jobs, which are other processes

        return LivePages(hub, worker, release)
