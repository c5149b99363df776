"""``vidtrans cache list`` and ``clean``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vidtrans.cli.command import console_options
from vidtrans.cli.console import Console
from vidtrans.cli.types import FILE

if TYPE_CHECKING:
    from vidtrans.settings import Table
    from vidtrans.store.cache import Cache


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
    if not stage:
        store.log.clear()
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
