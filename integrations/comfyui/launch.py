"""Run one job of a node in a process of its own, with vidtrans from the pack's folder. Argument: the job's folder.

The folder holds ``job.json``: command, values, more options as text, and the folders and files that may be named. The
values come from a workflow, perhaps a stranger's: vidtrans checks them as it checks those of a page, which leaves out
every option that can run a program.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn

PACKAGES = Path(__file__).resolve().parent / "packages"
LINE = re.compile(r"(?:--?)?([A-Za-z][A-Za-z0-9_-]*)\s*(?:[:=]\s*|\s+|$)(.*)")
OUTWARD = re.compile(r"(?:^|[=,;:|\s])(?:[/\\~]|[A-Za-z]:[/\\])|(?:^|[/\\=,;:|\s])\.\.(?:[/\\]|$)|://|\0")
DRIVE = re.compile(r"(?:^|[=,;|\s])[A-Za-z]:")  # on Windows also D:name, in the drive's current folder
WINDOWS = os.name == "nt"
PLACES = ("output", "result", "beside", "overwrite")  # a workflow's text may not choose what is written over
BOOLEANS = dict.fromkeys(("", "true", "yes", "on", "1"), True) | dict.fromkeys(("false", "no", "off", "0"), False)


def stop_with_parent(folder: Path) -> None:
    """Ask the command to save and end when ComfyUI ends, which closes this process's standard input."""
    try:
        while os.read(0, 64):
            pass
    except OSError:
        return
    (folder / "stop").touch()


class AllowedPaths:
    """Checks that a text names nothing but names, some files, and files within some folders."""

    def __init__(self, folders: list[str], files: list[str]) -> None:
        self._folders, self._files = (
            sorted({os.path.normcase(os.path.abspath(path)) for path in paths}, key=len, reverse=True)
            for paths in (folders, files)
        )

    def __call__(self, text: str) -> None:
        """Raise UsageError if a text may name a file that is not allowed."""
        from vidtrans.core.errors import UsageError

        rest = os.path.normcase(text)
        for file in self._files:
            rest = re.sub(re.escape(file) + r"(?=$|[=,;:|\s])", "file", rest)
        for folder in self._folders:
            rest = re.sub(re.escape(folder.rstrip("/\\")) + r"(?=$|[/\\])[/\\]*", "", rest)
        if OUTWARD.search(rest) or (WINDOWS and DRIVE.search(rest)):
            why = "it leads out of the folders of ComfyUI"
            raise UsageError(text[:200], why, "move the file to its input folder, and name it from there")
        if rest.rstrip().endswith(".toml"):
            raise UsageError(text[:200], "a node takes no lists and no presets of your own", "use a terminal")


def parse_options(text: str, properties: dict[str, Any]) -> dict[str, Any]:
    """Return the values of options by name, in the types of the schema; a list of those of one that may be repeated.

    Args:
        text: A line for each: ``name: value``, ``name value``, or as in a command line, ``--name value``.
        properties: The JSON Schema of the command's parameters by name.

    Raises:
        UsageError: A line is no option, or its value is of another type.
    """
    from vidtrans.core.errors import UsageError

    flags = {flag: name for name, one in properties.items() for flag in one.get("x-flags", ())}
    found: dict[str, Any] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("#"):
            continue
        if not (match := LINE.fullmatch(line)):
            raise UsageError(f"options: {line[:80]!r}", "it is no option", "write 'name: value', one on a line")
        word, value = match.group(1), match.group(2).strip()
        flag = f"--{word.replace('_', '-')}"
        name = flags.get(flag, word.replace("-", "_"))
        if name not in properties:
            raise UsageError(f"options: {word[:80]}", "a node cannot set it", "leave it out")
        table = properties[name]
        one = _converted(name, value, table.get("items", table))
        found[name] = [*found.get(name, []), one] if table.get("type") == "array" else one
    return found


def _converted(name: str, value: str, table: dict[str, Any]) -> Any:
    from vidtrans.core.errors import UsageError

    kind = table.get("type")
    if not value and kind != "boolean":
        raise UsageError(f"options: {name}", "it has no value", f"write '{name}: value'")
    try:
        if kind == "boolean":
            return BOOLEANS[value.lower()]
        if kind == "integer":
            return int(value)
        if kind == "number" or isinstance(kind, list):
            return float(value)
    except (KeyError, ValueError):
        if not isinstance(kind, list):  # a list: a number, or a curve
            raise UsageError(f"options: {name}: {value[:80]!r}", f"it is no {kind}", "correct it") from None
    return value


def words_of(job: dict[str, Any]) -> list[str]:
    from vidtrans.commands.page_commands import PageCommands
    from vidtrans.commands.schema import schema_of

    commands = PageCommands(AllowedPaths(job["folders"], job["files"]))
    offered = commands.schema(job["command"])["properties"]
    values = {key: value for key, value in job["values"].items() if value != offered.get(key, {}).get("default")}
    values |= parse_options(job["options"], {key: one for key, one in offered.items() if key not in PLACES})
    if job["device"] and "device" in offered:
        values.setdefault("device", job["device"])
    words = commands.words(job["command"], values)
    known = schema_of(job["command"])["properties"]
    if "cache_dir" in known:
        words += ["--cache-dir", job["cache"]]
    if "executor" in known and sys.flags.isolated:
        words += ["--executor", "inline"]  # processes of an embedded Python would not find the pack's packages
    return words


def refuse(folder: Path, error: str, exit_status: int) -> NoReturn:
    """Store that the job fails before its command begins, and exit."""
    (folder / "result.json").write_text(json.dumps({"error": error, "exit_status": exit_status}), encoding="utf-8")
    sys.exit(exit_status)


def main() -> None:
    folder = Path(sys.argv[1])
    sys.path.pop(0)  # the pack's own folder, whose names could hide those of other packages
    if not os.environ.get("VIDTRANS_PYTHON") and PACKAGES.is_dir():  # for this process, and those that it starts
        sys.path.insert(0, str(PACKAGES))
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(PACKAGES), os.environ.get("PYTHONPATH"))))
    threading.Thread(target=stop_with_parent, args=(folder,), daemon=True).start()
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    try:
        from vidtrans.cli.main import main as run
        from vidtrans.core.errors import VidtransError
    except ImportError as error:
        remedy = f"run this once: {sys.executable} {Path(__file__).with_name('install.py')}"
        refuse(folder, f"vidtrans cannot be imported ({error}) — {remedy}", 1)
    try:
        words = words_of(job)
    except VidtransError as error:
        refuse(folder, str(error), error.exit_status)
    run([*words, "--job-folder", str(folder)])


if __name__ == "__main__":
    main()
