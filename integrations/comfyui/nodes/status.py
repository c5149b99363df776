"""The progress of a job on its node: bar, preview, and a line of text."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

import comfy.utils
from PIL import Image

PREVIEW_PX = 512  # the longer side of a preview


class NodeStatus:
    """Shows what the process of a job reports to its folder.

    Args:
        folder: The job's folder.
        node: The node's number in the workflow; None shows it on the one that runs.
    """

    def __init__(self, folder: Path, node: str | None) -> None:
        self._folder, self._node = folder, node
        self._bar = comfy.utils.ProgressBar(1, node_id=node)
        self._shown: dict[str, Any] = {}
        self._preview: object = None
        self._note = ""

    def update(self) -> None:
        """Show the last report, if it is a new one. Raises InterruptProcessingException if the user cancelled."""
        table = self._read()
        if table == self._shown:
            return
        self._shown = table
        done, total = table.get("done"), table.get("total")
        if isinstance(done, int | float) and isinstance(total, int | float) and total > 0:
            self._bar.update_absolute(done, total, self._picture(table.get("preview")))
        self.say(describe(table))
        note = table.get("note")
        if isinstance(note, str) and note != self._note:
            self._note = note
            logging.warning("vidtrans: %s", note)

    def _read(self) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            table = json.loads((self._folder / "progress.json").read_text(encoding="utf-8"))
            if isinstance(table, dict):
                return table
        return self._shown

    def _picture(self, name: object) -> tuple[str, Image.Image, int] | None:
        """Return a preview that was not shown yet, as ComfyUI takes it."""
        if not isinstance(name, str):
            return None
        path = self._folder / name
        with suppress(OSError, ValueError, SyntaxError):  # a film, or a file that was just replaced
            state = (path, path.stat().st_mtime_ns)
            if state != self._preview:
                with Image.open(path) as picture:
                    picture.thumbnail((PREVIEW_PX, PREVIEW_PX))
                    self._preview = state
                    return "JPEG", picture.convert("RGB"), PREVIEW_PX
        return None

    def finish(self, text: str) -> None:
        """Fill the bar, and write a line on the node."""
        self._bar.update_absolute(1, 1)
        self.say(text)

    def say(self, text: str) -> None:
        """Write a line on the node, where this ComfyUI can."""
        try:
            from server import PromptServer

            PromptServer.instance.send_progress_text(text, self._node)
        except (ImportError, AttributeError):  # a line less is no failure
            return


def describe(table: dict[str, Any]) -> str:
    """Return a report as a line of text, such as ``render: 120 of 480 frames, 0:35 left``."""
    parts = [str(table.get("task") or "starting")]
    if isinstance(table.get("done"), int | float) and table.get("total"):
        parts.append(f": {table['done']:g} of {table['total']:g} {table.get('unit') or ''}".rstrip())
    if isinstance(table.get("left_s"), int | float):
        seconds = round(table["left_s"])
        hours, rest = divmod(seconds, 3600)
        clock = f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
        parts.append(f", {clock} left")
    if table.get("detail"):
        parts.append(f", {table['detail']}")
    return "".join(parts)
