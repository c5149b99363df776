"""Looking things up: probe, model, preset, cache."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from vidtrans.cli.console import Console
from vidtrans.cli.flags import FILE
from vidtrans.cli.options import common, console_options
from vidtrans.cli.words import count
from vidtrans.errors import strip_controls

CUTS_SHOWN = 12


@click.command("probe")
@click.argument("video", type=FILE)
@common("cache_dir", "dry_run")
def probe(video: Path, context: Any, console: Console) -> None:
    """What a clip holds: frames, times, cuts, tracks, colours, and what is unusual about it."""
    from vidtrans.pipeline.probe import probe as look

    table = look(video, context)
    console.result(
        table, "\n".join([_first_line(table), *_facts(table), *(f"  note     {w}" for w in table["warnings"])])
    )


def _first_line(table: dict[str, Any]) -> str:
    rate = float(Fraction(table["rate"]))
    kind = table["format"].split(",")[0]
    return (
        f"{table['path']}: {kind}, {count(table['frames'], 'frame')}, {table['seconds']:.3f} s at {rate:.3f} frames/s"
    )


def _language(code: str | None) -> str:
    return "no language" if code in (None, "und") else str(code)


def _facts(table: dict[str, Any]) -> list[str]:
    """What there is, a line each."""
    lines = [f"  picture  {table['width']}x{table['height']}, {table['findings']['depth']} bits a channel"]
    if "codec" in table:
        colours = f"{table['colour_space']} colours, {table['colour_range']} range, {table['colour_transfer']} transfer"
        lines[0] = lines[0].replace("picture  ", f"picture  {table['codec']} ") + f", {colours}"
    lines += [
        f"  sound    {a['codec']} {a['sample_rate_hz']} Hz, {count(a['channels'], 'channel')}, "
        f"{_language(a['language'])}"
        for a in table.get("audio", ())
    ]
    extras = [f"subtitles ({', '.join(table['subtitles'])})"] if table.get("subtitles") else []
    extras += [count(table["chapters"], "chapter")] if table.get("chapters") else []
    extras += [f"timecode {table['timecode']}"] if table.get("timecode") else []
    if extras:
        lines.append(f"  also     {', '.join(extras)}")
    cuts = list(zip(table["cuts"], table["cuts_s"], strict=True))
    shown = ", ".join(f"{s:.2f} s (frame {n})" for n, s in cuts[:CUTS_SHOWN])
    if cuts:
        more = f" … and {len(cuts) - CUTS_SHOWN} more (--json lists them)" if len(cuts) > CUTS_SHOWN else ""
        lines.append(f"  cuts     at {shown}{more}")
    return lines


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
    names = training.get("nondeterministic")  # operations, in files of ours
    lines = [
        f"{path}: {record.generator['name']}, pairing '{record.pairing['name']}', trained at {record.size} px",
        f"  format     {kind}",
        f"  generator  {_settings(record.generator['settings'])}",
        f"  pairing    {_settings(record.pairing['settings'])}",
        f"  training   {' + '.join(map(str, training.get('steps') or [0]))} steps on {training.get('pairs')} pairs, "
        f"preset '{training.get('preset')}'",
        f"  held out   {_settings(training.get('held_out') or {}) or 'nothing was held out'}",
        *([f"  repeatable not to the byte: {', '.join(map(str, names))}"] if isinstance(names, list) else []),
        *([f"  plate      {_plate(record.plate)}"] if record.plate else []),
        *([f"  dream      {_dream(record.dream)}"] if record.dream else []),
        *([f"  memory     its last output, brought along by flow ({record.memory['flow']})"] if record.memory else []),
        *(f"  {k:10} {v}" for k, v in record.card.items() if v),
    ]
    console.result({"output": str(path), "format": kind, **record.__dict__}, "\n".join(map(strip_controls, lines)))


def _plate(table: dict[str, Any]) -> str:
    width, height = table["size"]
    return (
        f"{width}x{height}, {100 * table['still']:.0f} % of it stays in place: for clips of this camera position only"
    )


def _dream(table: dict[str, Any]) -> str:
    clock = f"a clock of {table['positions']} places, there and back" if table["positions"] else "no clock"
    return f"{clock}; learned at {table['rate']} frames a second"


def _settings(table: dict[str, Any]) -> str:
    return ", ".join(f"{k} {v}" for k, v in table.items())


@click.group("preset")
def preset() -> None:
    """List and show presets."""


@preset.command("list")
@console_options
def preset_list(console: Console) -> None:
    """The presets that ship: what each is for, and what training with it costs."""
    from vidtrans.config.recipe import preset_cost, preset_names, preset_summary

    found = {name: preset_summary(name) for name in preset_names()}
    costs = {name: preset_cost(name) for name in found}
    lines = [f"{name:12} {text}\n{'':12} {costs[name]}".rstrip() for name, text in found.items()]
    console.result({"presets": found, "costs": costs}, "\n".join(lines))


@preset.command("show")
@click.argument("name")
@console_options
def preset_show(name: str, console: Console) -> None:
    """A preset's file, comments and all: copy it, change it, give it to --preset."""
    from vidtrans.config.recipe import preset_cost, preset_path, preset_summary, read_tables

    path = preset_path(name)
    told = {"preset": name, "summary": preset_summary(name), "cost": preset_cost(name)}
    console.result(told | {"tables": read_tables(path)}, path.read_text().rstrip())


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
    from vidtrans.store.cache import Cache
    from vidtrans.store.cache_folder import FOLDER
    from vidtrans.store.stages import STAGES

    held = Cache(cache_dir or Path(FOLDER), console.report)
    rows = [
        {"stage": e.stage, "key": e.key, "bytes": e.size, "complete": (e.folder / "meta.json").is_file()}
        for e in held.entries()
    ]
    lines = []
    for name in STAGES:
        of_stage = [r for r in rows if r["stage"] == name]
        size = sum(int(str(r["bytes"])) for r in of_stage)
        lines.append(f"{name:8} {len(of_stage):4} entries {size / 1e6:10.1f} MB   {STAGES[name].summary}")
    console.result({"output": str(held.root), "entries": rows}, "\n".join(lines))


@cache.command("clean")
@click.option("--stage", multiple=True, help="Only this stage; may be repeated.")
@cache_dir
@console_options
def cache_clean(stage: tuple[str, ...], cache_dir: Path | None, console: Console) -> None:
    """Delete what is kept. Results, datasets and models stay; what a run is using stays too."""
    from vidtrans.store.cache import Cache
    from vidtrans.store.cache_folder import FOLDER
    from vidtrans.store.stages import STAGES

    for name in stage:
        STAGES[name]  # an unknown stage is an error
    held = Cache(cache_dir or Path(FOLDER), console.report)
    freed = deleted = kept = 0
    for entry in held.entries():
        if stage and entry.stage not in stage:
            continue
        size = entry.size
        if entry.delete():
            freed, deleted = freed + size, deleted + 1
        else:
            kept += 1
    busy = f", {kept} in use were kept" if kept else ""
    table = {"output": str(held.root), "deleted": deleted, "bytes": freed, "kept": kept}
    console.result(table, f"{deleted} entries deleted, {freed / 1e6:.1f} MB freed{busy}")
