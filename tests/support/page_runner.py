"""Run the commands of a page of the documentation, at a small size."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from glob import glob
from io import StringIO
from itertools import pairwise

from chain import options_of
from page_commands import ROOT, commands_of
from page_props import make_props

from vidtrans.cli.main import run

# Options that make a command long: their values here. What else is given to a command, so that it trains for two steps.
SMALL = {"--steps": "2", "--minutes": "0.02", "--frames": "6"}
BESIDES = {"train": "--steps=2", "look": "--steps=2", "propagate": "--steps=2", "demo": "--minutes=0.02"}
# What is parsed and not run, and why.
NOT_RUN = {
    r"^live ": "it serves until it is stopped; tests/integration/test_live_page.py drives it",
    r"--executor ray": "it needs a cluster",
    r"nvdec|nvenc|cuda:1": "it needs NVIDIA GPUs",
    r"--engine openvino": "it needs OpenVINO",
    r"--self-test|^bench": "it measures for minutes; tests/unit/doctor and tests/cli/test_bench.py have its parts",
    r"^batch report|--start 102": "it needs longer clips, or a batch of the last hours; tests/cli has both",
    r"--morph|^model export both|\$model|--from look": "models of one training run, or of an earlier page",
    r"--pairing (labels|stack)|--model (street -o other|shot )|guides.dataset": "its maps and passes are of a program",
    r"^model import|--model (cats|styles|mine)\b|^model export cats": "files of other tools: tests/unit/interop",
    r"--preset (hd|pix2pix)\b|(fine|coarse|facades).dataset|--model facades": "its network or its pictures are large",
}


def why_not_run(words: list[str]) -> str | None:
    """Return why a command line (from ``vidtrans`` on) is parsed alone, or None."""
    line = " ".join(words[1:])
    return next((why for pattern, why in NOT_RUN.items() if re.search(pattern, line)), None)


def small(words: list[str]) -> list[str]:
    """Return the words behind ``vidtrans`` of the same command at a small size; patterns become names of files."""
    made = []
    for before, word in pairwise(words):
        zero = word == "0"  # of minutes: nothing is trained, which is a way of its own
        made += sorted(glob(word)) if "*" in word and glob(word) else [word if zero else SMALL.get(before, word)]
    besides = BESIDES.get(words[1])
    trains = besides and not {"--steps", "--minutes", "--optimise"} & set(made)
    replaces = "--overwrite" in options_of(words[1])
    return [*made, *([besides] if besides and trains else []), *(["--overwrite"] if replaces else [])]


def run_page(text: str) -> list[str]:
    """Run the commands of a page in the current folder, on the files that it takes for granted; return what failed."""
    lines = commands_of(text)
    make_props("\n".join(" ".join(words) for words in lines if words[0] in DONE))
    statuses = ((words, DONE[words[0]](words)) for words in lines if words[0] in DONE)
    return [f"{' '.join(words)}: {status}" for words, status in statuses if status]


def _run(words: list[str]) -> str:
    if why_not_run(words):
        return ""
    said = StringIO()
    with redirect_stdout(StringIO()), redirect_stderr(said):
        status = run(small(words))
    return f"{status}: {said.getvalue().strip()[-200:]}" if status else ""


def _copy(words: list[str]) -> str:
    return str(shutil.copy(ROOT / words[1], words[2])) and ""


def _python(words: list[str]) -> str:
    files = [name for word in words[2:] for name in (sorted(glob(word)) if "*" in word else [word])]
    done = subprocess.run([sys.executable, ROOT / words[1], *files], capture_output=True, encoding="utf-8")
    return done.stderr[-200:] if done.returncode else ""


# How a line is run, by its first word; what else pages have (pip, docker, curl …) is not.
DONE = {"vidtrans": _run, "cp": _copy, "python": _python}
