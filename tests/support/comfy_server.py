"""The real ComfyUI, where VIDTRANS_COMFYUI names its folder, started headless with a base folder of the test's own."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
PACK = REPOSITORY / "integrations" / "comfyui"
START_S, RUN_S = 120.0, 600.0


# Read here: a test runs without variables of vidtrans.
_NAMED, _PYTHON = os.environ.get("VIDTRANS_COMFYUI"), os.environ.get("VIDTRANS_COMFYUI_PYTHON")


def comfy_folder() -> Path | None:
    """Return the folder of ComfyUI that VIDTRANS_COMFYUI names; None without it."""
    return Path(_NAMED) if _NAMED else None


def comfy_python() -> str:
    """Return the Python that runs ComfyUI: VIDTRANS_COMFYUI_PYTHON, or that of its own environment."""
    folder = comfy_folder()
    assert folder is not None
    own = folder / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    return _PYTHON or str(own)


class ComfyServer:
    """A server of ComfyUI on a free port of this machine."""

    def __init__(self, base: Path, *, environment: dict[str, str] | None = None) -> None:
        folder = comfy_folder()
        assert folder is not None
        for name in ("input", "output", "temp", "models", "user", "custom_nodes"):
            (base / name).mkdir(parents=True, exist_ok=True)
        self.base = base
        self.pack = base / "custom_nodes" / "vidtrans"
        if not self.pack.exists():
            shutil.copytree(PACK, self.pack, ignore=shutil.ignore_patterns("packages", "__pycache__"))
        self.port = _free_port()
        self.log = base / "comfyui.log"
        line = [comfy_python(), str(folder / "main.py"), "--cpu", "--disable-auto-launch", "--port", str(self.port)]
        line += [
            "--base-directory",
            str(base),
            "--disable-metadata",
            "--database-url",
            f"sqlite:///{base}/user/comfyui.db",
        ]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                line, cwd=folder, stdout=log, stderr=log, env=os.environ | (environment or {})
            )
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                self.get("/system_stats")
            except OSError:
                time.sleep(0.2)
            else:
                return
        raise RuntimeError(f"ComfyUI did not start:\n{self.log.read_text(errors='replace')[-3000:]}")

    def get(self, path: str) -> Any:
        """Return the JSON of an address."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return json.loads(answer.read())

    def post(self, path: str, table: dict[str, Any]) -> Any:
        """Send JSON; return the answer, also that of a refusal."""
        body = json.dumps(table).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            text = error.read()
        return json.loads(text) if text else None

    def queue(self, workflow: dict[str, Any]) -> str:
        """Queue a workflow in the format of the API; return its number."""
        answer = self.post("/prompt", {"prompt": workflow})
        assert "prompt_id" in answer, answer
        number: str = answer["prompt_id"]
        return number

    def wait(self, number: str, limit_s: float = RUN_S) -> dict[str, Any]:
        """Return the history of a workflow when it has ended."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            if found := self.get(f"/history/{number}"):
                table: dict[str, Any] = found[number]
                return table
            time.sleep(0.2)
        raise RuntimeError(f"the workflow did not end:\n{self.log.read_text(errors='replace')[-3000:]}")

    def run(self, workflow: dict[str, Any], limit_s: float = RUN_S) -> dict[str, Any]:
        """Run a workflow and return its history."""
        return self.wait(self.queue(workflow), limit_s)

    def close(self) -> None:
        """End the server."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def error_of(history: dict[str, Any]) -> str:
    """Return the message that a failed workflow shows on its node; '' if it did not fail."""
    for kind, table in history["status"]["messages"]:
        if kind == "execution_error":
            return str(table["exception_message"])
        if kind == "execution_interrupted":
            return "interrupted"
    return ""


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
