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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import comfy.model_management as management

from .places import allowed_folders, cache_folder, temporary_folder
from .status import NodeStatus

LAUNCHER = Path(__file__).resolve().parents[1] / "launch.py"
POLL_S = 0.2
STOP_S = 60.0  # after which a process that was asked to stop is ended; that costs the chunk that it works on


class VidtransError(RuntimeError):
    """A failure that the node shows: the message of vidtrans, in one line."""


@dataclass(frozen=True)
class JobRequest:
    """A command with its values.

    Attributes:
        command: Its name, such as ``stylize``.
        values: Its parameters by name, as JSON.
        options: More of them, as lines of text.
        files: Files outside ComfyUI's folders that the values may name, such as those of VIDEO objects.
    """

    command: str
    values: dict[str, Any]
    options: str = ""
    files: list[str] = field(default_factory=list)


def run(request: JobRequest, node: str | None = None) -> dict[str, Any]:
    """Run a command, and show its progress on a node.

    Args:
        request: The command.
        node: The node's number in the workflow.

    Returns:
        The report of the command, as ``vidtrans --json`` prints it.

    Raises:
        VidtransError: It failed, or its process was killed.
        InterruptProcessingException: The user cancelled; running the workflow again goes on.
    """
    folder = _prepare(request)
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
    logging.info("vidtrans %s: %s (%s)", request.command, table.get("output"), done)
    status.finish(f"done: {done}")
    shutil.rmtree(folder, ignore_errors=True)
    return table


def _prepare(request: JobRequest) -> Path:
    folder = temporary_folder() / "jobs" / uuid.uuid4().hex[:12]
    folder.mkdir(parents=True)
    cache_folder().parent.mkdir(parents=True, exist_ok=True)
    job: dict[str, Any] = {"command": request.command, "values": request.values, "options": request.options}
    job |= {"files": request.files, "folders": allowed_folders(), "cache": str(cache_folder())}
    job["device"] = None if _has_gpu() else "cpu"  # as ComfyUI itself, which --cpu keeps from a GPU
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    return folder


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
    """Let the process save and end; end it where it does not."""
    with suppress(OSError):
        (folder / "stop").touch()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    logging.info("vidtrans: stopped; finished work is saved, and the same workflow goes on from there")


def _outcome(folder: Path, exit_status: int) -> dict[str, Any]:
    """Return the report of a job that ended. Raises VidtransError if it failed."""
    try:
        table: Any = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        table = None
    if exit_status == 0 and isinstance(table, dict):
        return table
    if isinstance(table, dict) and table.get("error"):
        raise VidtransError(str(table["error"]))
    why = f"its process ended without a result (exit status {exit_status})"
    last = _last_line(folder / "log.txt")
    said = f": {last}" if last else "; memory may be full"
    raise VidtransError(f"vidtrans: {why}{said} — queue the workflow again to go on; its log: {folder / 'log.txt'}")


def _last_line(log: Path) -> str:
    with suppress(OSError):
        lines = [line.strip() for line in log.read_bytes()[-4096:].decode("utf-8", "replace").splitlines()]
        return next((line[:300] for line in reversed(lines) if line), "")
    return ""
