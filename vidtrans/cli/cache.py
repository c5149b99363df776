"""``vidtrans cache list`` and ``clean``."""

from __future__ import annotations

from pathlib import Path

import click

from vidtrans.cli.command import console_options
from vidtrans.cli.console import Console
from vidtrans.cli.types import FILE

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
