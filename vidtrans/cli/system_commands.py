"""What is installed and kept here: ``vidtrans model``, ``preset``, ``cache``, ``doctor`` and ``bench``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vidtrans.cli.command import command_options, console_options
from vidtrans.cli.console import Console
from vidtrans.cli.types import FILE, MODEL
from vidtrans.cli.words import count
from vidtrans.errors import strip_controls

if TYPE_CHECKING:
    from vidtrans.requests import BenchRequest
    from vidtrans.session import Context
    from vidtrans.settings import Table
    from vidtrans.store.cache import Cache


@click.group("model")
def model() -> None:
    """List and show models."""


@model.command("list")
@console_options
def model_list(console: Console) -> None:
    """The models that a bare name finds."""
    from vidtrans.models.formats import FORMATS
    from vidtrans.models.model_file import IDENTITY, known_models

    found = {name: str(path) for name, path in known_models().items()}
    found[IDENTITY] = "built in: returns its input"
    formats = {name: entry.summary for name, entry in FORMATS.items()}
    lines = [f"{name:20} {path}" for name, path in found.items()]
    lines.append("formats: " + "; ".join(f"{name}, {summary}" for name, summary in formats.items()))
    console.result({"models": found, "formats": formats}, "\n".join(lines))


@model.command("show")
@click.argument("name", metavar="MODEL")
@console_options
def model_show(name: str, console: Console) -> None:
    """What a model file says of itself."""
    from vidtrans.models.formats import format_of, load_format
    from vidtrans.models.model_file import find_model

    path = find_model(name)
    if path is None:
        console.result({"model": "identity"}, "identity: returns its input; to check input, output and timing")
        return
    kind = format_of(path)
    record = load_format(kind).read_record(path)
    training = record.training
    operations = training.get("nondeterministic")  # in files of our own format
    lines = [
        f"{path}: {record.generator['name']}, pairing '{record.pairing['name']}', trained at {record.size} px",
        f"  format     {kind}",
        f"  generator  {_settings(record.generator['settings'])}",
        f"  pairing    {_settings(record.pairing['settings'])}",
        f"  training   {' + '.join(map(str, training.get('steps') or [0]))} steps on {training.get('pairs')} pairs, "
        f"preset '{training.get('preset')}'",
        f"  held out   {_settings(training.get('held_out') or {}) or 'nothing was held out'}",
        *([f"  repeatable not to the byte: {', '.join(map(str, operations))}"] if isinstance(operations, list) else []),
        *([f"  plate      {_plate(record.plate)}"] if record.plate else []),
        *([f"  dream      {_dream(record.dream)}"] if record.dream else []),
        *([f"  memory     its last output, brought along by flow ({record.memory['flow']})"] if record.memory else []),
        *(f"  {k:10} {v}" for k, v in record.card.items() if v),
    ]
    console.result({"output": str(path), "format": kind, **record.__dict__}, "\n".join(map(strip_controls, lines)))


def _plate(table: Table) -> str:
    size, share = "x".join(map(str, table["size"])), 100 * table["still"]
    return f"{size}, {share:.0f} % of it stays in place: for clips of this camera position only"


def _dream(table: Table) -> str:
    clock = f"a clock of {table['positions']} places, there and back" if table["positions"] else "no clock"
    return f"{clock}; learned at {table['rate']} frames a second"


def _settings(table: Table) -> str:
    return ", ".join(f"{k} {v}" for k, v in table.items())


@click.group("preset")
def preset() -> None:
    """List and show presets."""


@preset.command("list")
@console_options
def preset_list(console: Console) -> None:
    """The presets that ship: what each is for, and what training with it costs."""
    from vidtrans.config.recipe import preset_names, preset_text

    summaries = {name: preset_text(name, "summary") for name in preset_names()}
    costs = {name: preset_text(name, "cost") for name in summaries}
    lines = [f"{name:12} {text}\n{'':12} {costs[name]}".rstrip() for name, text in summaries.items()]
    console.result({"presets": summaries, "costs": costs}, "\n".join(lines))


@preset.command("show")
@click.argument("name")
@console_options
def preset_show(name: str, console: Console) -> None:
    """A preset's file, comments and all: copy it, change it, give it to --preset."""
    from vidtrans.config.recipe import preset_path, preset_text, read_tables

    path = preset_path(name)
    table = {"preset": name, "summary": preset_text(name, "summary"), "cost": preset_text(name, "cost")}
    console.result(table | {"tables": read_tables(path)}, path.read_text().rstrip())


def _open_cache(folder: Path | None, console: Console) -> Cache:
    from vidtrans.store.cache import Cache
    from vidtrans.store.cache_folder import FOLDER

    return Cache(folder or Path(FOLDER), console.report)


cache_dir = click.option(
    "--cache-dir",
    type=FILE,
    envvar="VIDTRANS_CACHE_DIR",
    default=None,
    help="Where stages are kept: a folder with no other files.  [default: .vidtrans]",
)


@click.group("cache")
def cache() -> None:
    """List and clean what is kept between runs."""


@cache.command("list")
@cache_dir
@console_options
def cache_list(cache_dir: Path | None, console: Console) -> None:
    """What is kept, by stage."""
    from vidtrans.store.stages import STAGES

    store = _open_cache(cache_dir, console)
    rows: list[Table] = [
        {"stage": e.stage, "key": e.key, "bytes": e.size, "complete": (e.folder / "meta.json").is_file()}
        for e in store.entries()
    ]
    lines = []
    for name in STAGES:
        sizes = [row["bytes"] for row in rows if row["stage"] == name]
        lines.append(f"{name:8} {len(sizes):4} entries {sum(sizes) / 1e6:10.1f} MB   {STAGES[name].summary}")
    console.result({"output": str(store.root), "entries": rows}, "\n".join(lines))


@cache.command("clean")
@click.option("--stage", multiple=True, help="Only this stage; may be repeated.")
@cache_dir
@console_options
def cache_clean(stage: tuple[str, ...], cache_dir: Path | None, console: Console) -> None:
    """Delete what is kept. Results, datasets and models stay; what a run is using stays too."""
    from vidtrans.store.stages import STAGES

    for name in stage:
        STAGES[name]  # an unknown stage is an error
    store = _open_cache(cache_dir, console)
    freed = deleted = in_use = 0
    for entry in store.entries():
        if stage and entry.stage not in stage:
            continue
        size = entry.size
        if entry.delete():
            freed, deleted = freed + size, deleted + 1
        else:
            in_use += 1
    busy = f", {in_use} in use were kept" if in_use else ""
    table = {"output": str(store.root), "deleted": deleted, "bytes": freed, "kept": in_use}
    console.result(table, f"{deleted} entries deleted, {freed / 1e6:.1f} MB freed{busy}")


SIGNS = {"ok": "ok   ", "note": "note ", "wrong": "WRONG"}


@click.command("doctor")
@console_options
def doctor(console: Console) -> int:
    """Look at device, codecs, libraries and disk, and say what to do about what is wrong."""
    from vidtrans.pipeline.doctor import examine

    findings = []
    for finding in examine():
        findings.append(finding)
        if not console.as_json and not (console.quiet and finding.state == "ok"):
            console.text(f"{SIGNS[finding.state]} {finding.name:15} {finding.detail}")
            if finding.remedy:
                console.text(f"{'':6}{'':15} -> {finding.remedy}")
    wrong = [f.name for f in findings if f.state == "wrong"]
    table = {"findings": [f.__dict__ for f in findings], "wrong": wrong}
    if wrong:
        console.failure(f"not everything is as it should be: {', '.join(wrong)}", 1, table)
        return 1
    console.result(table, "all is well")
    return 0


@click.command("bench")
@click.option("--model", default="flower", show_default=True, metavar="NAME|FILE", type=MODEL, help="To run.")
@click.option(
    "--size",
    type=click.IntRange(64, 2160),
    default=256,
    show_default=True,
    help="Working size: the short side in pixels, of 16:9.",
)
@click.option("--frames", type=click.IntRange(2, 1000), default=16, show_default=True, help="Of each measurement.")
@click.option("--all", "slow", is_flag=True, help="Engines that take long to start, too: compile.")
@command_options("device", "dry_run", request="BenchRequest")
def bench(request: BenchRequest, context: Context, console: Console) -> None:
    """How many frames a second each step of a render makes here, which is the slowest, and what auto takes.

    It measures on a clip of its own, and leaves nothing behind but what compile and openvino keep for the next time.
    """
    from vidtrans.pipeline.bench import bench as measure

    table, frames = measure(request, context), request.frames
    if table.get("dry_run"):
        plan = f"would measure '{table['model']}' in {table['rounds']} rounds of {count(frames, 'frame')}"
        console.result(table, f"{plan}; 16 of 256 pixels take about half a minute on two CPU cores")
        return
    console.figures(("", "frames/s", "spread", "ms a frame", ""), _rates(table))
    machine, (width, height) = table["machine"], table["working_size"]
    on = f"{machine['gpu']}; " if machine["gpu"] else ""
    cpu = f"{machine['cpu']}, {count(machine['cores'], 'core')}"
    lines = [f"{on}{cpu}; {machine['device']}, {machine['precision']}"]
    lines.append(f"'{table['model']}' at {width}x{height}, medians of {table['rounds']} rounds of {frames} frames")
    lines += [f"engine {name} was left out: {why}" for name, why in table["skipped"].items()]
    slowest = table["steps"][table["bottleneck"]]["fps"]
    lines.append(f"the bottleneck is {table['bottleneck']}: {slowest:.1f} frames/s; auto takes engine {table['auto']}")
    console.result(table, "\n".join(lines))


def _rates(table: Table) -> list[tuple[str, ...]]:
    """Rows for a person: the steps in the order of a render, every engine, and what comes of them together."""
    steps, together, source = table["steps"], table["together"], "x".join(map(str, table["source_size"]))
    rows: list[tuple[str, ...]] = []

    def add(label: str, rate: Table, step: str = "") -> None:
        spread = f"{rate['slowest']:.1f} to {rate['fastest']:.1f}"
        mark = "bottleneck" if step == table["bottleneck"] else ""
        rows.append((label, f"{rate['fps']:.1f}", spread, f"{1000 / rate['fps']:.1f}", mark))

    for label, step in ((f"decode {source}", "decode"), ("input of the network", "input")):
        add(label, steps[step], step)
    for name, rate in table["engines"].items():
        is_auto = name == table["auto"]
        add(f"engine {name} (auto)" if is_auto else f"engine {name}", rate, "engine" if is_auto else "")
    for label, step in (("flow, both ways", "flow"), ("window filter", "filter"), (f"encode {source}", "encode")):
        add(label, steps[step], step)
    add("filter with its flow", together["filter_with_flow"])
    add("stylize", together["stylize"])
    add("stylize --temporal off", together["stylize_unfiltered"])
    return rows
