"""Run the tests under other conditions: versions, Pythons, instruction sets, threads, load and order.

``nox -l`` lists the sessions, ``nox -s NAME -- PATHS`` chooses the tests, and ``nox -s table`` prints what came out.
"""

from __future__ import annotations

import csv
import os
import platform
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.sessions = ["tests"]

PARTS = ("tests/unit", "tests/contracts", "tests/integration/test_chain.py")
FIELDS = ("session", "python", "torch", "passed", "failed", "skipped", "minutes", "note")
VERSIONS = "import platform, torch; print(platform.python_version(), torch.__version__)"
# What an instruction set needs of the processor (flags as Linux names them), and how oneDNN and torch name it.
ISAS = {
    "avx2": ({"avx2", "fma"}, "AVX2", "avx2"),
    "avx512": ({"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_bf16"}, "AVX512_CORE_BF16", "avx512"),
    "amx": ({"amx_tile", "amx_int8", "amx_bf16"}, "AVX512_CORE_AMX", "avx512"),
}


def install(session: nox.Session, *options: str) -> None:
    """Install the checkout with what its tests need."""
    session.install(*options, "-e", ".[test]")


def run_tests(
    session: nox.Session,
    paths: Sequence[str] = PARTS,
    options: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> None:
    """Run pytest on the paths, or on what follows ``--``, and add a line to the table, passed or not."""
    python = str(shared_python(session)) if session.venv_backend == "none" else "python"
    report = session.cache_dir / f"{session.name}.xml"
    report.unlink(missing_ok=True)
    versions = str(session.run(python, "-c", VERSIONS, silent=True, external=True)).split()
    note = " ".join([*(f"{name}={value}" for name, value in (env or {}).items()), *options, *session.posargs])
    arguments = [*options, *(session.posargs or paths)]
    try:
        session.run(python, "-m", "pytest", f"--junit-xml={report}", *arguments, env=env, external=True)
    finally:
        add_row(session, *versions, *read_counts(report), note)


def shared_python(session: nox.Session) -> Path:
    """Return the Python of the session ``environment``, in which all run that need no versions of their own."""
    folder = session.cache_dir.parent.absolute() / "environment"
    return folder / ("Scripts/python.exe" if platform.system() == "Windows" else "bin/python")


def read_counts(report: Path) -> list[str]:
    """Return passed, failed, skipped and minutes of a JUnit file; dashes where the tests did not come to an end."""
    if not report.exists():
        return ["–"] * 4
    suites = list(ElementTree.parse(report).iter("testsuite"))
    total, failures, errors, skipped = (
        sum(int(suite.get(name, "0")) for suite in suites) for name in ("tests", "failures", "errors", "skipped")
    )
    minutes = sum(float(suite.get("time", "0")) for suite in suites) / 60
    return [str(total - failures - errors - skipped), str(failures + errors), str(skipped), f"{minutes:.1f}"]


def add_row(session: nox.Session, *values: str) -> None:
    """Add a line to the table."""
    with (session.cache_dir / "results.tsv").open("a", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter="\t").writerow([session.name, *values])


def skip(session: nox.Session, why: str) -> None:
    """End a session that cannot run here, which the table says, too."""
    add_row(session, *["–"] * 6, f"not run: {why}")
    session.skip(why)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests of the first tier with the newest versions that pyproject.toml allows."""
    install(session)
    run_tests(session, paths=())


@nox.session
def thorough(session: nox.Session) -> None:
    """Run the tests of the second tier, which ``pytest`` alone leaves out, with the same versions."""
    install(session)
    run_tests(session, paths=(), options=["-m", "thorough"])


@nox.session(python="3.11")
def lowest(session: nox.Session) -> None:
    """Run all tests with every direct dependency at its lower bound."""
    if session.venv_backend != "uv":
        skip(session, "only uv installs the lowest versions (pip install uv)")
    install(session, "--resolution", "lowest-direct")
    run_tests(session, paths=(), env={"TESTED_VERSIONS": "lowest"})


@nox.session
def latest(session: nox.Session) -> None:
    """Run all tests with the newest versions that exist: torch's cap is lifted."""
    if session.venv_backend == "uv":
        overrides = session.cache_dir / "overrides.txt"
        overrides.write_text("torch\n")
        install(session, "--upgrade", "--override", str(overrides))
    else:
        install(session, "--upgrade")
        session.install("--upgrade", "torch")
    run_tests(session, paths=(), env={"TESTED_VERSIONS": "latest"})


def run_python(session: nox.Session) -> None:
    """Install and run the tests with the Python of the session."""
    install(session)
    run_tests(session)


nox.session(run_python, name="py311", python="3.11")
nox.session(run_python, name="py312", python="3.12")
nox.session(run_python, name="py313", python="3.13")
nox.session(run_python, name="py314", python="3.14")


@nox.session
def environment(session: nox.Session) -> None:
    """Install what the sessions below share."""
    install(session, "pytest-random-order>=1.1")


@nox.session
def docs(session: nox.Session) -> None:
    """Run the commands of every page at a small size, print what is not run and why, look at the site in Chromium."""
    install(session)
    session.run("python", "tests/support/page_runner.py")
    paths = ["tests/docs/test_page_commands.py", "tests/docs/test_site.py"]
    run_tests(session, paths=paths, env={"EVERY_PAGE": "1", "REQUIRE_CHROMIUM": "1"})


@nox.session
def types(session: nox.Session) -> None:
    """Run mypy --strict and pyright on the examples, as whoever uses vidtrans does, with the installed wheel."""
    session.install(".[dev,notebooks]", "basedpyright>=1.30")  # pyright, without a download at its first run
    untyped = [f"--untyped-calls-exclude={name}" for name in ("av", "nbformat", "nbconvert", "skimage", "torch")]
    session.run("mypy", "--config-file=", "--strict", "--ignore-missing-imports", *untyped, "examples")
    session.run("basedpyright", "--level", "error", "examples")


@nox.session
def notebooks(session: nox.Session) -> None:
    """Run the notebooks at a small size; ``nox -s notebooks -- FOLDER`` keeps them as pages."""
    session.install("-e", ".[notebooks]")
    pages = session.posargs or [str(session.cache_dir / "notebooks")]
    session.run("python", "examples/run_notebooks.py", "--small", *pages)


def limit_isa(session: nox.Session) -> None:
    """Run the tests with the instruction set that the session is named after as the newest that torch uses."""
    needed, onednn, aten = ISAS[session.name.removeprefix("isa-")]
    info = Path("/proc/cpuinfo")
    if lacking := needed - set(info.read_text().split() if info.exists() else ()):
        skip(session, f"the processor has no {', '.join(sorted(lacking))}" if info.exists() else f"no {info} here")
    run_tests(session, env={"ONEDNN_MAX_CPU_ISA": onednn, "ATEN_CPU_CAPABILITY": aten})


def set_threads(session: nox.Session) -> None:
    """Run the tests with as many threads in torch as the session is named after, instead of one for each worker."""
    run_tests(session, env={"OMP_NUM_THREADS": session.name.removeprefix("threads-")})


def pretend_system(session: nox.Session) -> None:
    """Run the tests with the traits of another system that can be had on this one."""
    run_tests(session, options=["--as-system", session.name.removeprefix("as-")])


def busy(session: nox.Session) -> None:
    """Run the tests beside as many busy loops as there are cores."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        run_tests(session)
    finally:
        for loop in loops:
            loop.kill()


def order(session: nox.Session) -> None:
    """Run the tests in a random order; the seed is in the command that is printed, and in the table."""
    seed = random.randrange(10**6)
    run_tests(session, options=["--random-order-bucket=global", f"--random-order-seed={seed}"])


for _name in ISAS:
    nox.session(limit_isa, name=f"isa-{_name}", python=False, requires=["environment"])
for _name in ("1", "4"):
    nox.session(set_threads, name=f"threads-{_name}", python=False, requires=["environment"])
for _name in ("windows", "macos"):
    nox.session(pretend_system, name=f"as-{_name}", python=False, requires=["environment"])
nox.session(busy, python=False, requires=["environment"])
nox.session(order, python=False, requires=["environment"])


@nox.session(python=False)
def table(session: nox.Session) -> None:
    """Print the last results of each session as a Markdown table."""
    with (session.cache_dir / "results.tsv").open(newline="", encoding="utf-8") as file:
        rows = {row[0]: row for row in csv.reader(file, delimiter="\t")}
    for row in (FIELDS, ["---"] * len(FIELDS), *rows.values()):
        sys.stdout.write(f"| {' | '.join(row)} |\n")
