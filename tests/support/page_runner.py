"""Run what a page of the documentation says to type, at a small size.

As a program: print how many lines are run, and the reason for each that is not.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from glob import glob
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

from chain import options_of
from page_commands import ROOT, name_of, pages, steps_of
from page_props import make_names, make_props, write_settings
from page_server import PageServer

from vidtrans.cli.main import run

# Options that make a command long: their values here. What else is given to a command, so that it trains for two steps.
SMALL = {"--steps": "2", "--minutes": "0.02", "--frames": "6"}
BESIDES = {
    r"^(train|look|propagate)(?!.*--(steps|minutes|optimise))": ["--steps=2"],
    r"^bench": ["--size=64", "--frames=2"],
    r"--from look": ["--set=generator.channels=8", "--set=generator.blocks=[0, 0, 0]"],  # as those of the tests
    # the networks of the papers, thin
    r"^train .*(coarse|fine|facades)|pix2pix": ["--set=generator.channels=4", "--set=discriminator.channels=4"],
    r"^train .*(coarse|fine)": ["--set=discriminator.num_layers=1"],
    r"--preset hd": ["--size=128"],
}
SMALL_PYTHON = {
    r"\bminutes=[\d.]+": "minutes=0.02",
    r"\bsteps=\d+": "steps=2",
    r"\bframes=\d+": "frames=6",
    r"Timer\(\d+": "Timer(1",
    r"serve_live\((.*)\)": r"serve_live(\1, port=0)",
}
# What is parsed and not run, and why.
NOT_RUN = {
    r"^vidtrans demo$": "it renders at full size for minutes; tests/cli/test_looking.py runs it",
    r"--executor ray": "it needs a cluster; tests/unit/batch has a pretended one",
    r"nvdec|nvenc|cuda:1": "it needs NVIDIA GPUs",
    r"\.otio": "it needs OpenTimelineIO, which has no wheel for each Python; tests/unit/timelines runs it",
    r"--engine openvino": "it needs OpenVINO, which has no wheel for each Python",
    r"^vidtrans vote (?!.*--dry-run)": "it serves until it is stopped; tests/integration/test_vote_page.py does that",
    r"--self-test": "it measures for minutes; tests/unit/doctor runs its checks one by one",
}
CONTRIBUTORS = r"pytest|ruff|mypy|lint-imports|pre-commit|zensical|python docs/generate\.py"
# Lines of other programs that are not run, and why.
OTHERS = {
    r"pip|pipx|uv|python3 -m venv|py -m venv": "it installs; the workflow `release` tries the wheel and the archive",
    r"git clone|cd|source": "it fetches the code, or goes to it: here it is",
    r"comfy": "it is a program of ComfyUI's; tests/integration/test_comfyui_launch.py installs what it would",
    r"docker": "it makes a container; the workflow `release` does",
    r"jupyter": "it serves until it is stopped; `nox -s notebooks` runs the notebooks",
    r"python-block # vidtrans_negative": "it is a file of a package; tests/integration/test_plugin_package.py has it",
    r"chromium": "it fills a screen; tests/integration/test_live_page.py drives the page in Chromium",
    CONTRIBUTORS: "it is of contributors, and what the tests run themselves",
}
# Pages of which no line is run here, and why.
ELSEWHERE = {
    r"extend/(?!index)": "tests/docs/test_docs_extend.py does what the page says",
    r"faults": "it shows the fault of a library, on processors that have it",
}


def why_not_run(page: str, words: list[str]) -> str | None:
    """Return why a step of a page is not run, or None. Raises AssertionError for a program that nothing runs."""
    line = " ".join(words)
    reasons = [why for pattern, why in ELSEWHERE.items() if re.match(pattern, page)]
    if words[0] == "vidtrans":
        reasons += [why for pattern, why in NOT_RUN.items() if re.search(pattern, line)]
    elif words[0] != "bash":
        reasons += [why for pattern, why in OTHERS.items() if re.match(rf"({pattern})\b", line)]
    assert reasons or words[0] in DONE or words[0].startswith("--"), f"{page}: nothing runs {line}"
    return next(iter(reasons), None)


def small(words: list[str]) -> list[str]:
    """Return the words behind ``vidtrans`` of the same command at a small size; patterns become names of files."""
    made: list[str] = []
    for before, word in pairwise(words):
        zero = word == "0"  # of minutes: nothing is trained, which is a way of its own
        made += sorted(glob(word)) if "*" in word and glob(word) else [word if zero else SMALL.get(before, word)]
    for pattern, besides in BESIDES.items():
        made += besides if re.search(pattern, " ".join(words[1:])) else []
    return [*made, *(["--overwrite"] if "--overwrite" in options_of(words[1]) else [])]


def run_page(page: Path) -> list[str]:
    """Run the steps of a page in the current folder, on the files that it takes for granted; return what failed."""
    steps = [words for words in steps_of(page.read_text("utf-8")) if not why_not_run(name_of(page), words)]
    write_settings()
    with PageServer() as server:
        runner = PageRunner(server)
        statuses = [(words, runner.run(words)) for words in steps]
    return [f"{' '.join(words)}: {status}" for words, status in [*statuses, (["live"], server.status)] if status]


class PageRunner:
    """Runs the steps of one page; what one has made, and the names of its Python, are there for the next."""

    def __init__(self, server: PageServer) -> None:
        self.server = server
        self.names: dict[str, Any] = {}
        self.dream: list[str] = []

    def run(self, words: list[str]) -> str:
        """Run one step; return how it failed, or nothing."""
        if words[0].startswith("--"):  # options of the command before
            words = [*self.dream, *words]
        if words[:2] == ["vidtrans", "dream"]:
            self.dream = [word for word in words if word not in ("-o",)]
        make_props(" ".join(words))
        return DONE[words[0]](self, words)

    def command(self, words: list[str]) -> str:
        """Run ``vidtrans …`` in this process, or serve until the page's next server."""
        if words[1] == "live":
            return self.server.start(small(words))
        said, output = StringIO(), StringIO()
        with redirect_stdout(output), redirect_stderr(said):
            status = run(small(words[: words.index(">")] if ">" in words else words))
        if ">" in words:
            Path(words[-1]).write_text(output.getvalue(), encoding="utf-8")
        return f"{status}: {said.getvalue().strip()[-200:]}" if status else ""

    def curl(self, words: list[str]) -> str:
        """Ask the server of the page."""
        return self.shell([word.replace("http://127.0.0.1:8765", self.server.address) for word in [*words, "--fail"]])

    def copy(self, words: list[str]) -> str:
        """Copy a file of the checkout."""
        return str(shutil.copy(ROOT / words[1], words[2])) and ""

    def program(self, words: list[str]) -> str:
        """Run a program of the checkout."""
        files = [name for word in words[2:] for name in (sorted(glob(word)) if "*" in word else [word])]
        return self.shell([sys.executable, str(ROOT / words[1]), *files])

    def torchrun(self, words: list[str]) -> str:
        """Run a command in two processes, in place of the page's number."""
        return self.shell([*re.sub(r"(?<=--nproc-per-node )\d+", "2", " ".join(words)).split(), "--steps=2"])

    def shell(self, words: list[str]) -> str:
        """Run another program, or a line of a shell: in the checkout if the line names a folder of it."""
        path = os.pathsep.join([str(Path("bin").resolve()), str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}
        folder = ROOT if "=examples/" in words[-1] else None
        done = subprocess.run(words, capture_output=True, encoding="utf-8", env=environment, cwd=folder)
        return f"{done.returncode}: {done.stderr[-300:]}" if done.returncode else ""

    def python(self, words: list[str]) -> str:
        """Run a block of Python, with the names of the blocks before it and those that the page takes for granted."""
        code = words[1]
        for pattern, shorter in SMALL_PYTHON.items():
            code = re.sub(pattern, shorter, code)
        self.names = make_names() | self.names
        try:
            with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
                exec(compile(code, "<page>", "exec"), self.names)
        except Exception as error:  # of any kind: it is what the test reports
            return repr(error)
        return ""


# How a step is run, by its first word.
DONE: dict[str, Callable[[PageRunner, list[str]], str]] = {
    "vidtrans": PageRunner.command,
    "python-block": PageRunner.python,
    "cp": PageRunner.copy,
    "python": PageRunner.program,
    "bash": PageRunner.shell,
    "curl": PageRunner.curl,
    "torchrun": PageRunner.torchrun,
}


def main() -> None:
    """Print the number of steps that are run, and those that are not by their reason."""
    steps = [(name_of(page), words) for page in pages() for words in steps_of(page.read_text("utf-8"))]
    reasons = Counter(why_not_run(page, words) for page, words in steps)
    blocks = sum(words[0] == "python-block" and not why_not_run(page, words) for page, words in steps)
    lines = [f"{reasons.pop(None)} steps of the pages are run, {blocks} of them blocks of Python. Not run:"]
    lines += [f"{number:4d}  {reason}" for reason, number in reasons.most_common()]
    sys.stdout.write("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
