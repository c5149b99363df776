"""Several clips, each with its model and recipe: given on the command line, or listed in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vidtrans.batch.inputs import Item, bytes_of, check_folder, gathered, named, without_results
from vidtrans.batch.jobs import Options, run_batch, run_spread
from vidtrans.batch.scheduler import Dividing
from vidtrans.batch.summary import Outcome
from vidtrans.config.programs import programs_from
from vidtrans.config.recipe import TABLES, Recipe, overlaid, render_recipe
from vidtrans.errors import UsageError
from vidtrans.files import base_name
from vidtrans.models.loaded_model import find_look
from vidtrans.output.target import check_place, refuse_link
from vidtrans.pipeline.stylize import default_output, is_one_picture, stylize
from vidtrans.registry import unknown_name
from vidtrans.rendering.planning import makes_folder
from vidtrans.session import Context
from vidtrans.settings import Table, parse_time, read_toml
from vidtrans.video.io.encoding import EncodingSettings
from vidtrans.video.io.pictures import is_picture_source

LIST_SUFFIX = ".toml"
FUNCTION = "vidtrans.pipeline.stylize:stylize"
DIVIDING = Dividing("vidtrans.pipeline.stylize:divide", "vidtrans.pipeline.stylize:make_part")
OF_A_CLIP = ("source", "output", "model", "preset", "start", "end", "mask")
OF_ALL = ("model", "preset")
TEXTS = ("output", "model", "preset", "mask")


@dataclass(frozen=True)
class Wish:
    """A clip that is to be rendered. ``options`` as ``stylize`` has them; ``output``: its name, where one was given."""

    source: Path
    model: str
    recipe: Recipe
    options: Mapping[str, Any] = field(default_factory=dict)
    output: Path | None = None

    @property
    def encoding(self) -> EncodingSettings:
        wanted = self.recipe.settings("encoding", EncodingSettings)
        return wanted.resolved(pictures=is_picture_source(self.source), output=self.output)

    @property
    def usual(self) -> Path:
        return default_output(self.source, self.model, self.encoding)

    def arguments(self, output: Path | None) -> Table:
        """Return what ``stylize`` is called with."""
        return {"video": self.source, "model": self.model, "output": output, "recipe": self.recipe, **self.options}


def stylize_batch(
    wishes: Sequence[Wish], folder: Path, options: Options, context: Context
) -> tuple[list[Outcome], Path]:
    """Render them into ``folder``; how each went, and where that is written. Raises UsageError, Interrupted."""
    return run_batch(plan(wishes, folder), FUNCTION, folder, options, context, DIVIDING)


def stylize_one(wish: Wish, output: Path | None, options: Options, context: Context) -> Table:
    """Render one clip, spread over all devices, or as many processes as were asked for. Raises as ``stylize`` does."""
    if is_one_picture(wish.source) or context.dry_run or options.is_inline(context.device):
        return stylize(**wish.arguments(output), context=context)
    item = Item(wish.source, output or wish.usual, wish.arguments(output), bytes_of(wish.source))
    return run_spread(item, FUNCTION, options, context, DIVIDING)


def wished(
    given: Sequence[Path], model: str, recipe: Recipe, context: Context, folder: Path, **options: Any
) -> list[Wish]:
    """Return what files, folders and globs stand for. Raises UsageError, ModelError, once where all are wrong."""
    look = find_look(model, context, recipe.look)
    look.check_renders()
    found = gathered(given, whole_folders=bool(look.pairing.guides))
    wishes = [Wish(source, model, recipe, options) for source in found]
    if found == list(given):  # each was named
        return wishes
    kept = set(without_results(found, lambda source: folder / Wish(source, model, recipe).usual))
    return [wish for wish in wishes if wish.source in kept]


def listed(
    path: Path,
    model: str | None,
    preset: str | None,
    flags: Mapping[str, Mapping[str, Any]],
    context: Context,
    folder: Path,
    **options: Any,
) -> list[Wish]:
    """Return the clips of a list (TOML), each with what it says, else what the list says for all; flags outrank both.

    Sources and masks are looked for from the folder that the list is in. Raises UsageError, ModelError.
    """
    table = read_toml(path)
    clips = table.pop("clips", None)
    if not isinstance(clips, list) or not clips or not all(isinstance(clip, dict) for clip in clips):
        raise UsageError(str(path), "it lists no clips", 'write [[clips]], and source = "…" below it')
    _check_keys(table, OF_ALL, str(path), "clips")
    wishes: list[Wish] = []
    for number, clip in enumerate(clips, 1):
        where = f"clip {number} of {path}"
        _check_keys(clip, OF_A_CLIP, where)
        sources = _sources(clip, where, path.parent)
        chosen = model or clip.get("model") or table.get("model")
        if not chosen:
            raise UsageError(where, "no model", 'write model = "…", or give --model')
        in_list = overlaid(*({n: t for n, t in layer.items() if n in TABLES} for layer in (table, clip)))
        tables = overlaid(in_list, flags)
        recipe = render_recipe(preset or clip.get("preset") or table.get("preset"), tables)
        programs = programs_from(f"list {path}", in_list, flags)
        recipe = replace(recipe, programs=(*recipe.programs, *programs))
        own = dict(options)
        for name in ("start", "end"):
            if own.get(name) is None and name in clip:
                own[name] = parse_time(str(clip[name]))
        if own.get("mask") is None and "mask" in clip:
            own["mask"] = path.parent / clip["mask"]
        found = wished(sources, chosen, recipe, context, folder, **own)
        if "output" in clip:
            if len(found) > 1:
                raise UsageError(where, f"one output for {len(found)} sources", "leave it out, or list each by itself")
            found = [replace(found[0], output=Path(clip["output"]))]
        wishes += found
    return wishes


def _check_keys(table: Table, own: Sequence[str], where: str, *more: str) -> None:
    """Raise UsageError on a key that is none of the list's ``own``, nor a table of a preset, or of the wrong type."""
    for key, value in table.items():
        if key not in (*own, *TABLES):
            raise unknown_name(f"'{key}' in {where}: key", key, [*own, *more, *TABLES])
        if key in TABLES and not isinstance(value, dict):
            raise UsageError(f"'{key}' in {where}", "it must be a table", f"write {key}.KEY = VALUE")
        if key in TEXTS and not isinstance(value, str):
            raise UsageError(f"'{key}' in {where}", "it must be text", f'write {key} = "…"')


def _sources(clip: Table, where: str, folder: Path) -> list[Path]:
    given = clip.get("source")
    texts: list[Any] = given if isinstance(given, list) else [given]
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise UsageError(where, "no source", 'write source = "…": a file, a folder or a pattern, or a list of them')
    return [folder / text for text in texts]


def plan(wishes: Sequence[Wish], folder: Path) -> list[Item]:
    """Return a job for each, with a place in ``folder`` that no other has. Raises UsageError."""
    check_folder(folder)
    endings = {number: wish.usual.name.removeprefix(base_name(wish.source)) for number, wish in enumerate(wishes)}
    unnamed = [n for n, wish in enumerate(wishes) if wish.output is None]
    own = iter(named([wishes[n].source for n in unnamed], [endings[n] for n in unnamed]))
    places = [refuse_link(folder / (wish.output or next(own))) for wish in wishes]
    sources = [wish.source for wish in wishes]
    taken = {s.resolve() for s in sources} | {parent for s in sources for parent in s.resolve().parents}
    items, seen = [], set()
    for wish, place in zip(wishes, places, strict=True):
        if place.resolve() in taken:  # no clip's result may be another's source
            check_place(place, sources, folder=makes_folder(wish.encoding, place))
        if place in seen:
            raise UsageError(str(place), "two clips have this output", "give each a name of its own")
        seen.add(place)
        items.append(Item(wish.source, place, {**wish.arguments(place), "single": True}, bytes_of(wish.source)))
    return items
