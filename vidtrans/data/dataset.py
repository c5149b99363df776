"""The dataset's file format, and its training pairs.

    flower.dataset/
      dataset.json   pairing and its settings, sources, one record a frame
      flower/000000.png …  the frames, each stored once, whatever the number of pairs
      flower.target/ …  for pairings with separate targets
      flower.extracted/ …  for pairings whose input another network makes
      flower.keep/ …  for a look with masks: grey mattes, white where the content is preserved
      flower.full/, flower.full.target/ …  a few held-out pairs with a separate target, at the source's size

Deleting a picture removes its pairs; deleting a full-size picture removes only the full-size pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from vidtrans.core.errors import MediaError, PluginError, UsageError
from vidtrans.core.files import DATASET_FILE, read_small_json, write_json
from vidtrans.core.settings import Table, parse_rate
from vidtrans.core.system import path_as_stored
from vidtrans.pairing import PAIRINGS
from vidtrans.pairing.aligned import Unpaired
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.video.images.picture import picture_size

FORMAT = 1  # Version of the dataset's file format.
# The use of a frame: 'gap' frames separate 'train' from 'val'; a 'dropped' frame has a record but no picture.
Role = Literal["train", "val", "gap", "dropped"]


@dataclass(frozen=True)
class FrameRecord:
    """A frame of a dataset, stored or dropped; ``index`` and ``shot`` count within the frame's ``source``.

    Paths are relative to the dataset's folder, with forward slashes.
    """

    file: str
    source: int
    index: int
    pts: int
    shot: int
    role: Role
    target: str | None = None
    guides: tuple[str, ...] = ()  # Additional input pictures: guides of a stack, extracted pictures, mattes.
    full: tuple[str, ...] = ()  # Source and target at the source's size.
    keep: str | None = None  # The matte of the content that a style model preserves.

    @property
    def inputs(self) -> tuple[str, ...]:
        """Return the paths of the frame's input pictures: the frame, then its guides."""
        return (self.file, *self.guides)

    @property
    def pair_names(self) -> tuple[str, ...]:
        """Return the paths of the frame's pictures that are stored at the dataset's size; () for a dropped frame."""
        if self.role == "dropped":
            return ()
        return self.inputs if self.target is None else (*self.inputs, self.target)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the paths of all stored pictures of the frame; () for a dropped frame."""
        return (*self.pair_names, *self.mattes, *self.full) if self.pair_names else ()

    @property
    def mattes(self) -> tuple[str, ...]:
        """Return the path of the frame's matte of preserved content; () without a matte."""
        return () if self.keep is None else (self.keep,)


@dataclass(frozen=True)
class Pair:
    """A training pair: the paths of the input pictures (oldest first), and of the target.

    ``place``: the pair's number within its ``shot`` (source, shot). ``phase``: the value of the clock input, in [0, 1);
    None for a pairing without a clock. ``domain``: index of the domain in an unpaired dataset, whose pairs are single
    frames; 0 is the source. ``full``: source and target of a held-out pair at the source's size, if they are stored.
    ``keep``: a grey matte, white where a style model preserves the newest input; None: nowhere. ``nearest``: the
    positions for a pointer, see ``ClipMemory.pointed``.
    """

    inputs: tuple[Path, ...]
    target: Path
    role: Role
    shot: tuple[int, int] = (0, 0)
    place: int = 0
    phase: float | None = None
    domain: int = 0
    full: tuple[Path, Path] | None = None
    keep: Path | None = None
    nearest: tuple[float, ...] = ()

    @property
    def together(self) -> tuple[Path, ...]:
        """Return the paths of the pictures that must have the target's size."""
        return self.inputs if self.keep is None else (*self.inputs, self.keep)


@dataclass(frozen=True)
class Dataset:
    """An opened dataset. ``pairs``: the pairs whose pictures all exist.

    ``num_missing``: the number of deleted pictures.
    """

    folder: Path
    key: str
    preset: str
    recipe: dict[str, Table]  # The preset's tables for training, at the time when the dataset was made.
    size: str
    pairing_table: Table
    sources: tuple[Table, ...]
    records: tuple[FrameRecord, ...]
    num_missing: int = 0
    pairs: tuple[Pair, ...] = field(default=(), repr=False)

    @property
    def pairing(self) -> Pairing:
        """Return the pairing of frames that the index describes."""
        return make_pairing(self.pairing_table["name"], self.pairing_table["settings"])

    def role(self, role: Role) -> list[Pair]:
        """Return the pairs with this role: 'train' or 'val'."""
        return [p for p in self.pairs if p.role == role]

    def inputs(self, role: Role) -> list[Pair]:
        """Return the pairs of a role whose pictures are network inputs.

        These are all pairs of a paired dataset, and the pairs of the source domain of an unpaired dataset.
        """
        return [p for p in self.role(role) if p.domain == 0]

    def targets(self, role: Role) -> list[Pair]:
        """Return the pairs of a role that have targets: all; in an unpaired dataset those of the target domains."""
        return [p for p in self.role(role) if p.domain or not self.domains]

    @property
    def domains(self) -> tuple[str, ...]:
        """Return the names of the domains, the source domain first; () for a paired dataset."""
        pairing = self.pairing
        return pairing.settings.domains if isinstance(pairing, Unpaired) else ()

    def names(self) -> list[str]:
        """Return the paths of all pictures of the dataset, relative to the folder, in the order of the records."""
        return list(dict.fromkeys(n for r in self.records for n in r.names))

    def pair_names(self) -> list[str]:
        """Return the paths of the pictures at the dataset's size, relative to the folder, in order of records."""
        return list(dict.fromkeys(n for r in self.records for n in r.pair_names))

    @property
    def num_frames(self) -> int:
        """Return the number of existing frames at the dataset's size."""
        return len(set(self.pair_names()) & set(self.files()))

    def files(self) -> list[str]:
        """Return the paths of the pictures that exist, relative to the folder, in the order of the records."""
        return [n for n in self.names() if self.path(n).is_file()]

    def path(self, name: str) -> Path:
        """Return the path of a picture by its name in the index, spelled as in the file system."""
        return path_as_stored(self.folder / name)

    def with_all_pictures(self) -> Dataset:
        """Return a copy of the dataset that counts deleted pictures as existing."""
        return replace(self, pairs=tuple(_pairs(self, set(self.names()))))


def check_sizes(pairs: Sequence[Pair]) -> None:
    """Raise MediaError if the pictures of a pair differ in size, for example after an edit by the user."""
    together = [(pair.together, pair.target) for pair in pairs] + [(p.full[:1], p.full[1]) for p in pairs if p.full]
    sizes = {path: picture_size(path) for others, target in together for path in (*others, target)}
    for others, target in together:
        width, height = sizes[target]
        for path in others:
            if sizes[path] != (width, height):
                raise MediaError(
                    str(path),
                    f"it is {sizes[path][0]}x{sizes[path][1]}, and its target {target} is {width}x{height}",
                    "bring both to one size, or delete one, and the pair is gone",
                )


def check_pairs(dataset: Dataset, pairing: Pairing) -> None:
    """Raise MediaError if the dataset has no pairs, for example because every shot is too short for the pairing."""
    if dataset.pairs:
        return
    dropped = sum(r.role == "dropped" for r in dataset.records)
    why = f"pairing '{pairing.name}' needs {pairing.min_frames} frames in a row, and no shot has as many"
    remedy = "give a longer clip"
    if pairing.min_frames == 1:
        why, remedy = "none of its frames can be used for training", "give another clip"
    if dropped:
        why += f" ({dropped} frames are flat or blurred, or look just like others)"
        remedy += ", or keep all with --set dataset.drop_duplicates=false --set dataset.min_sharpness=0"
    raise MediaError(", ".join(s["name"] for s in dataset.sources), why, remedy)


def write_index(folder: Path, dataset: Dataset) -> None:
    """Write ``dataset.json``, the last file of a dataset: only with this file the folder counts as a dataset."""
    value: dict[str, Any] = {
        "format": FORMAT,
        "key": dataset.key,
        "preset": dataset.preset,
        "recipe": dataset.recipe,
        "size": dataset.size,
        "pairing": dataset.pairing_table,
        "sources": list(dataset.sources),
        "frames": [{k: v for k, v in asdict(r).items() if v not in (None, ())} for r in dataset.records],
    }
    write_json(folder / DATASET_FILE, value, indent=1)


def open_dataset(folder: Path) -> Dataset:
    """Read a dataset folder. Raises MediaError if it is not a dataset, or if its index is damaged."""
    index = folder / DATASET_FILE
    if not index.is_file():
        why = "no such folder" if not folder.exists() else "not a dataset (it has no dataset.json)"
        raise MediaError(str(folder), why, "make one with 'vidtrans make-dataset VIDEO'")
    try:
        value = read_small_json(index)
        if value["format"] != FORMAT:
            raise MediaError(str(folder), f"dataset format {value['format']} is not known here", "make it again")
        lists = ("guides", "full")
        records = tuple(FrameRecord(**r | {n: tuple(r.get(n, ())) for n in lists}) for r in value["frames"])
        for name in ("key", "preset", "size"):
            if not isinstance(value[name], str):
                raise ValueError(f"its {name} is no text")
        for source in value["sources"]:
            parse_rate(source.get("rate", "25"))
        opened = Dataset(
            folder=folder,
            key=value["key"],
            preset=value["preset"],
            recipe={name: dict(table) for name, table in value["recipe"].items()},
            size=value["size"],
            pairing_table=value["pairing"],
            sources=tuple(value["sources"]),
            records=records,
        )
        PAIRINGS.require(opened.pairing_table, folder, MediaError)
        opened.pairing  # noqa: B018  (raises an error on an unknown pairing or setting)
        _check(opened)
    except PluginError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError, RecursionError, UsageError) as error:
        raise MediaError(str(index), f"damaged ({error})", "make the dataset again with --overwrite") from None
    present = set(opened.files())
    missing = sum(n not in present for n in opened.names())
    return replace(opened, num_missing=missing, pairs=tuple(_pairs(opened, present)))


def _check(dataset: Dataset) -> None:
    """Raise ValueError on paths outside of the folder, incomplete full-size pairs, or wrong numbers of domains."""
    if any(len(r.full) not in (0, 2) for r in dataset.records):
        raise ValueError("a full-size pair is not of two pictures")
    paths = [Path(name) for r in dataset.records for name in r.names]
    if outside := next((path for path in paths if path.is_absolute() or ".." in path.parts), None):
        raise ValueError(f"'{outside}' leads out of the folder")
    names = dataset.domains
    numbers = {source.get("domain") for source in dataset.sources}
    if names and (not all(type(n) is int for n in numbers) or numbers != set(range(len(names)))):
        raise ValueError(f"its sources do not belong to the domains {', '.join(names)}")


def _pairs(dataset: Dataset, present: set[str]) -> list[Pair]:
    """Return the pairs whose pictures are all among ``present``, the existing files."""
    pairing = dataset.pairing
    pairs = []
    for shot, frames in groupby(dataset.records, key=lambda r: (r.source, r.shot)):
        records = list(frames)
        for place, step in enumerate(pairing.pair_positions(len(records))):
            target, newest = records[step.target], records[step.inputs[-1]]
            if not pairing.has_target and (target.role != newest.role or target.file not in present):
                step = replace(step, target=step.inputs[-1])
            used = [records[i] for i in (*step.inputs, step.target)]
            target_name = records[step.target].target if pairing.needs_target else records[step.target].file
            names = [n for i in step.inputs for n in records[i].inputs]
            mattes = newest.mattes
            roles = {r.role for r in used}
            if (
                target_name is None
                or len(roles) != 1
                or not roles <= {"train", "val"}
                or not present.issuperset({*names, *mattes, target_name})
            ):
                continue
            inputs = tuple(map(dataset.path, names))
            domain = dataset.sources[shot[0]].get("domain", 0)
            full = _full(dataset, records[step.target], present)
            keep = dataset.path(mattes[0]) if mattes else None
            file, role = dataset.path(target_name), used[0].role
            pairs.append(Pair(inputs, file, role, shot, place, step.phase, domain, full, keep))
    return pairs


def _full(dataset: Dataset, record: FrameRecord, present: set[str]) -> tuple[Path, Path] | None:
    """Return the paths of a frame's source and target at full size; None if they are not both in ``present``.

    ``present``: the names of the existing files.
    """
    if not record.full or not present.issuperset(record.full):
        return None
    source, target = map(dataset.path, record.full)
    return source, target
