"""A program with the interface of ``vidtrans`` that the add-on of Blender uses, and nothing behind it.

It "renders" by copying its source, one frame in 0.05 s, and goes on where it was stopped.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
import time
from pathlib import Path

FRAMES = 40
STEP_S = 0.05
SCHEMA = {
    "type": "object",
    "properties": {
        "strength": {
            "type": ["string", "number"],
            "format": "vidtrans-curve",
            "minimum": 0,
            "maximum": 2.0,
            "default": 1.0,
            "description": "How much of it.",
            "x-flags": ["--strength"],
            "x-group": "Look",
            "x-access": "plain",
        }
    },
}


def write(path: Path, table: dict[str, object]) -> None:
    """Replace a file as a whole."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(table), encoding="utf-8")
    part.replace(path)


def render(folder: Path, source: Path, output: Path) -> int:
    """Pretend to render; return the exit status."""
    folder.mkdir(parents=True, exist_ok=True)
    done = output.with_name(f"{output.name}.done")  # the cache
    with (folder / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        (folder / "pid").write_text(str(os.getpid()))
        first = int(done.read_text()) if done.exists() else 0
        with (output.parent / "starts.txt").open("a") as starts:
            starts.write(f"{first}\n")
        for at in range(first, FRAMES):
            write(
                folder / "progress.json",
                {"task": "infer", "done": at, "total": FRAMES, "unit": "frames", "left_s": 2.0},
            )
            if (folder / "stop").exists():
                write(folder / "result.json", {"error": "stopped", "exit_status": 130})
                write(folder / "end.json", {"exit_status": 130, "finished": time.time()})
                return 130
            time.sleep(STEP_S)
            done.write_text(str(at + 1))
        if "fails" in source.name:
            write(folder / "result.json", {"error": f"{source}: damaged — give --allow-damaged", "exit_status": 3})
            write(folder / "end.json", {"exit_status": 3, "finished": time.time()})
            return 3
        copy = shutil.copytree if source.is_dir() else shutil.copyfile
        copy(source, output)
        write(folder / "result.json", {"output": str(output)})
        write(folder / "end.json", {"exit_status": 0, "finished": time.time()})
    return 0


def main() -> int:
    """Answer a command line."""
    words = sys.argv[1:]
    if words == ["--version"]:
        sys.stdout.write("fake, version 9.9" + "\n")
    elif words[1:] == ["--help"]:
        sys.stdout.write("--job-folder FOLDER" + "\n")
    elif words[0] == "schema":
        sys.stdout.write(json.dumps(SCHEMA) + "\n")
    elif words[:2] == ["model", "list"]:
        sys.stdout.write(json.dumps({"looks": ["oil", "pencil"], "models": {}}) + "\n")
    elif words[:2] == ["model", "show"]:
        sys.stdout.write(json.dumps({"pairing": {"name": "stack"}}) + "\n")
    else:
        options = dict(word.lstrip("-").partition("=")[::2] for word in words if word.startswith("--") and word != "--")
        return render(Path(options["job-folder"]), Path(words[-1]), Path(options["output"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
