"""A command of vidtrans as a process of its own, which a node starts, watches and stops.

ComfyUI's process never imports vidtrans. Clips go from file to file, so its memory does not grow with their length, and
a process that is killed costs the chunk that it worked on.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import comfy.model_management as management
import comfy.utils
from PIL import Image

from .places import allowed_folders, cache_folder, temporary_folder

LAUNCHER = Path(__file__).resolve().parents[1] / "launch.py"
POLL_S = 0.2
STOP_S = 60.0  # after which a process that was asked to stop is ended; that costs the chunk that it works on
PREVIEW_PX = 512  # the longer side of a preview


class VidtransError(RuntimeError):
    """A failure that the node shows: the message of vidtrans, in one line."""


def run(command: str, values: dict[str, Any], options: str, files: list[str], node: str | None) -> dict[str, Any]:
    """Run a command, show its progress on a node, and return its report, as ``vidtrans --json`` prints it.

    Args:
        command, values: Its name, and its parameters by name, as JSON.
        options: More parameters, as lines of text.
        files: Files outside ComfyUI's folders that the values may name, such as those of VIDEO objects.
        node: The node's number in the workflow.

    Raises:
        VidtransError: It failed, or its process was killed.
        InterruptProcessingException: The user cancelled; running the workflow again goes on.
    """
    folder = temporary_folder() / "jobs" / uuid.uuid4().hex[:12]
    folder.mkdir(parents=True)
    cache_folder().parent.mkdir(parents=True, exist_ok=True)
    job: dict[str, Any] = {"command": command, "values": values, "options": options, "files": files}
    job |= {"folders": allowed_folders(), "cache": str(cache_folder())}
    job["device"] = None if _has_gpu() else "cpu"  # as ComfyUI itself, which --cpu keeps from a GPU
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    _free_gpu()
    status = NodeStatus(folder, node)
    process = _start(folder)
    try:
        while process.poll() is None:
            management.throw_exception_if_processing_interrupted()
            status.update()
            time.sleep(POLL_S)
        status.update()
    except BaseException:
        _stop(process, folder)
        raise
    finally:
        with suppress(OSError, ValueError):
            process.stdin.close()
    table = _outcome(folder, process.returncode)
    done = "it was there already" if table.get("cached") else f"{table.get('seconds', 0):.1f} s"
    logging.info("vidtrans %s: %s (%s)", command, table.get("output"), done)
    status.finish(f"done: {done}")
    shutil.rmtree(folder, ignore_errors=True)
    return table


def _has_gpu() -> bool:
    return management.get_torch_device().type != "cpu"


def _free_gpu() -> None:
    """Take ComfyUI's own models from the GPU, whose memory vidtrans needs; ComfyUI loads them again when needed."""
    if _has_gpu():
        management.unload_all_models()
        management.soft_empty_cache()


def _start(folder: Path) -> subprocess.Popen[bytes]:
    python = os.environ.get("VIDTRANS_PYTHON") or sys.executable
    line = [python, *(["-s"] if sys.flags.no_user_site else []), str(LAUNCHER), str(folder)]
    hidden = subprocess.CREATE_NO_WINDOW if sys.platform == "win32" else 0
    try:
        with (folder / "log.txt").open("wb") as log:
            return subprocess.Popen(
                line, cwd=folder, stdin=subprocess.PIPE, stdout=log, stderr=log, creationflags=hidden
            )
    except OSError as error:
        raise VidtransError(f"{python}: it cannot be started ({error.strerror}) — see VIDTRANS_PYTHON") from None


def _stop(process: subprocess.Popen[bytes], folder: Path) -> None:
    with suppress(OSError):
        (folder / "stop").touch()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    logging.info("vidtrans: stopped; finished work is saved, and the same workflow continues it")


def _outcome(folder: Path, exit_status: int) -> dict[str, Any]:
    table = _read_table(folder / "result.json")
    if exit_status == 0 and table is not None:
        return table
    if table and table.get("error"):
        raise VidtransError(str(table["error"]))
    log, lines = folder / "log.txt", []
    with suppress(OSError):
        lines = log.read_bytes()[-4096:].decode("utf-8", "replace").split("\n")
    last = next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")
    why = f"its process ended without a result (exit status {exit_status})"
    why += f": {last}" if last else "; memory may be full"
    raise VidtransError(f"vidtrans: {why} — queue the workflow again to go on; its log: {log}")


def _read_table(path: Path) -> dict[str, Any] | None:
    with suppress(OSError, ValueError):
        table = json.loads(path.read_text(encoding="utf-8"))
        return table if isinstance(table, dict) else None
    return None


class NodeStatus:
    """Shows what the process of a job reports to its folder: bar, preview, and a line of text.

    ``node``: its number in the workflow; None for the one that runs.
    """

    def __init__(self, folder: Path, node: str | None) -> None:
        self._folder, self._node = folder, node
        self._bar = comfy.utils.ProgressBar(1, node_id=node)
        self._report: dict[str, Any] = {}
        self._preview: object = None
        self._note = ""

    def update(self) -> None:
        """Show the last report, if it is a new one. Raises InterruptProcessingException if the user cancelled."""
        table = _read_table(self._folder / "progress.json")
        if table is None or table == self._report:
            return
        self._report = table
        done, total = table.get("done"), table.get("total")
        if isinstance(done, int | float) and isinstance(total, int | float) and total > 0:
            self._bar.update_absolute(done, total, self._picture(table.get("preview")))
        self._write(describe(table))
        note = table.get("note")
        if isinstance(note, str) and note != self._note:
            self._note = note
            logging.warning("vidtrans: %s", note)

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
        self._bar.update_absolute(1, 1)
        self._write(text)

    def _write(self, text: str) -> None:
        with suppress(ImportError, AttributeError):  # without the line, the bar still moves
            from server import PromptServer

            PromptServer.instance.send_progress_text(text, self._node)


def describe(table: dict[str, Any]) -> str:
    """Return a report as a line of text, such as ``render: 120 of 480 frames, 0:35 left``."""
    parts = [str(table.get("task") or "starting")]
    if isinstance(table.get("done"), int | float) and table.get("total"):
        parts.append(f": {table['done']:g} of {table['total']:g} {table.get('unit') or ''}".rstrip())
    if isinstance(table.get("left_s"), int | float):
        minutes, seconds = divmod(round(table["left_s"]), 60)
        clock = f"{minutes // 60}:{minutes % 60:02d}" if minutes >= 60 else f"{minutes}"
        parts.append(f", {clock}:{seconds:02d} left")
    if table.get("detail"):
        parts.append(f", {table['detail']}")
    return "".join(parts)
