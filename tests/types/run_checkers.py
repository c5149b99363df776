"""Run mypy --strict and basedpyright, as pyright is set by default, on the examples and on the files beside this one.

    python tests/types/run_checkers.py

Both must find nothing in the files, but an error on each line of wrong_calls.py that is marked, and on no other one.
They see the vidtrans that this Python imports: nox -s types installs it as a wheel, as users have it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parents[1] / "examples"
WRONG = HERE / "wrong_calls.py"
MARK = re.compile(r"  # wrong(: .*)?$")
Error = tuple[Path, int, str]


def marked(text: str) -> set[int]:
    """Return the numbers of the lines on which a checker must find an error."""
    return {number for number, line in enumerate(text.splitlines(), 1) if MARK.search(line)}


def differences(errors: Sequence[Error], wrong: Path = WRONG) -> list[str]:
    """Return what is wrong about the errors that a checker found, a line each."""
    expected, found = marked(wrong.read_text(encoding="utf-8")), {line for path, line, _ in errors if path == wrong}
    stray = [f"{path}:{line}: {text}" for path, line, text in errors if path != wrong or line not in expected]
    return [*stray, *(f"{wrong}:{line}: no error is found here" for line in sorted(expected - found))]


def run_mypy(folder: Path, paths: Sequence[Path]) -> list[Error]:
    """Return the errors that mypy --strict finds."""
    command = ["-m", "mypy", "--strict", f"--config-file={HERE / 'mypy.ini'}", "--output=json", *map(str, paths)]
    rows = [json.loads(line) for line in run(folder, command) if line.startswith("{")]
    return [(Path(row["file"]).resolve(), row["line"], row["message"]) for row in rows if row["severity"] == "error"]


def run_pyright(folder: Path, paths: Sequence[Path]) -> list[Error]:
    """Return the errors that basedpyright finds."""
    settings = {
        "typeCheckingMode": "standard",  # pyright's own default
        "include": [str(path) for path in paths],
        "extraPaths": [str(EXAMPLES), str(EXAMPLES / "plugin")],
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    command = ["-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable, "--project", str(folder)]
    rows = json.loads("\n".join(run(folder, command)))["generalDiagnostics"]
    return [
        (Path(row["file"]).resolve(), row["range"]["start"]["line"] + 1, row["message"])
        for row in rows
        if row["severity"] == "error"
    ]


def run(folder: Path, command: Sequence[str]) -> list[str]:
    """Run a checker in a folder without vidtrans; return what it printed. Raises SystemExit if it fails itself."""
    done = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, encoding="utf-8")
    if done.returncode not in (0, 1) or done.stderr:
        sys.exit(f"{' '.join(command[:2])} failed\n{done.stdout}\n{done.stderr}")
    return done.stdout.splitlines()


def main() -> None:
    """Run both, and print what differs."""
    paths = [*sorted(HERE.glob("*.py")), *sorted(EXAMPLES.rglob("*.py"))]
    failed = False
    with TemporaryDirectory() as name:
        folder = Path(name).resolve()
        for checker, wanted in ((run_mypy, paths), (run_pyright, [HERE, EXAMPLES])):
            found = differences(checker(folder, wanted))
            print("\n".join([f"{checker.__name__}: {len(found)} differences", *found]), flush=True)
            failed |= bool(found)
    sys.exit(failed)


if __name__ == "__main__":
    main()
