"""Variants of a training: ablations, which change one component each, and sweeps over the values of settings.

A combination of a sweep trains the same model as the command with ``--set KEY=VALUE`` for each of its values. The
ablations are the tables of Isola et al. (CVPR 2017): losses (table 1), skips of the U-Net (2), size of D's patches (3).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import product
from typing import Any

from vidtrans.config.recipe import Recipe, table_of
from vidtrans.core.errors import UsageError
from vidtrans.core.files import digest_of
from vidtrans.core.registry import Entry, Registry, unknown_name
from vidtrans.core.settings import LARGEST_INT, Table, parse_key, parse_value
from vidtrans.data.augment import crop_size
from vidtrans.data.dataset import Dataset
from vidtrans.networks import DISCRIMINATORS, GENERATORS
from vidtrans.session import Context
from vidtrans.training import weight_key
from vidtrans.training.settings import TrainingSettings
from vidtrans.video.images.picture import picture_size

# Sides in pixels of a PatchGAN's patches, by the discriminator's number of layers.
PATCH_SIDES_PX = {0: 1, 1: 16, 3: 70, 5: 286}
SKIPS = "skip_connections"  # Key of the setting for skip connections of a generator.
SWEPT_TABLES = ("generator", "discriminator", "training")  # Tables whose settings can be swept.
SEED = "seed"  # Sweep key of the seed, which is an option of the command and not in a table.
MAX_VARIANTS = 64  # Maximum number of variants of a sweep.
MAX_VALUE_LENGTH = 40  # Maximum number of characters of a setting's value in a file name.
_FORM = "as in --sweep training.lr=0.0001,0.0002"  # Example in the remedies of error messages.
_QUOTES = "\"'"  # Characters that begin and end a quoted value.
# Closing character by opening character, for brackets and quotes.
_CLOSING = {"[": "]", "{": "}"} | {quote: quote for quote in _QUOTES}
Sweep = Mapping[str, Sequence[Any]]  # Values to try by key of a setting, as KEY or TABLE.KEY.


@dataclass(frozen=True)
class Variant:
    """One training of an ablation or a sweep.

    ``name``: the stem of the model's file name; ``label``: the heading in sheets. ``settings``: the values of the swept
    settings, by key. ``seed``: this variant's seed, or None for the command's.
    """

    name: str
    label: str
    recipe: Recipe
    settings: Table = field(default_factory=dict)
    seed: int | None = None


Variants = Callable[[Recipe, Dataset, Context], list[Variant]]  # A function that returns the variants of an ablation.


# Ablations by name; each entry is a function of type ``Variants``.
ABLATIONS = Registry(
    "ablation",
    {
        "loss": Entry("vidtrans.training.variants:losses", "L1, GAN and conditional GAN, alone and together"),
        "discriminator": Entry("vidtrans.training.variants:patches", "patches of 1, 16, 70 and 286 pixels"),
        "skips": Entry("vidtrans.training.variants:skips", "with and without skips, by L1 and by L1 + cGAN"),
    },
)


def losses(recipe: Recipe, dataset: Dataset, context: Context) -> list[Variant]:
    """Return the five variants of the loss ablation: L1, GAN and cGAN alone, L1 + GAN, and L1 + cGAN."""
    del dataset
    _note_omitted_losses(recipe, context)
    return [
        Variant("l1", "L1", recipe.under(_loss_table(recipe, l1=True, gan=False))),
        Variant("gan", "GAN", recipe.under(_loss_table(recipe, l1=False, gan=True, conditional=False))),
        Variant("cgan", "cGAN", recipe.under(_loss_table(recipe, l1=False, gan=True))),
        Variant("l1-gan", "L1 + GAN", recipe.under(_loss_table(recipe, l1=True, gan=True, conditional=False))),
        Variant("l1-cgan", "L1 + cGAN", recipe.under(_loss_table(recipe, l1=True, gan=True))),
    ]


def patches(recipe: Recipe, dataset: Dataset, context: Context) -> list[Variant]:
    """Return PatchGAN variants with several patch sizes, without those larger than the training crop.

    Raises UsageError.
    """
    name, table = recipe.choice("discriminator")
    if name != "patchgan":
        why = f"it varies the patches of 'patchgan', and this recipe has '{name}'"
        raise UsageError("--ablate discriminator", why, "use --set discriminator.name=patchgan")
    if not recipe.settings("training", TrainingSettings).weights["gan"]:
        why = "training.lambda_gan is 0: there is no discriminator"
        raise UsageError("--ablate discriminator", why, "add --set training.lambda_gan=1")
    side = _shortest_side(recipe, dataset)
    network = DISCRIMINATORS.load(name)
    variants = []
    for layers, patch in PATCH_SIDES_PX.items():
        smallest = network(6, network.Settings(channels=4, num_layers=layers)).smallest
        if smallest <= side:
            label = f"{patch}x{patch} patches"
            tables = {"discriminator": {**table, "num_layers": layers}}
            variants.append(Variant(f"patch-{patch}", label, recipe.under(tables)))
        else:
            context.note(
                f"{patch}x{patch} patches are left out: they need {smallest} pixels a side, the pictures have {side}"
            )
    return variants


def skips(recipe: Recipe, dataset: Dataset, context: Context) -> list[Variant]:
    """Return variants with and without skip connections, each with L1 and with L1 + cGAN. Raises UsageError."""
    del dataset
    name, _ = recipe.choice("generator")
    with_skips = [n for n, cls in GENERATORS.loaded() if SKIPS in {f.name for f in fields(cls.Settings)}]
    if name not in with_skips:
        remedy = f"use --set generator.name={with_skips[0]} (of {', '.join(with_skips)})"
        raise UsageError("--ablate skips", f"generator '{name}' has no skips to leave out", remedy)
    _note_omitted_losses(recipe, context)
    return [
        Variant(
            f"{'' if joined else 'no-'}skips-{'l1-cgan' if gan else 'l1'}",
            f"{'skips' if joined else 'no skips'}, {'L1 + cGAN' if gan else 'L1'}",
            recipe.under(_loss_table(recipe, l1=True, gan=gan) | {"generator": {SKIPS: joined}}),
        )
        for joined in (False, True)
        for gan in (False, True)
    ]


def _loss_table(recipe: Recipe, *, l1: bool, gan: bool, conditional: bool = True) -> dict[str, Table]:
    """Return a [training] table with only the chosen losses, at the recipe's weights, or the paper's if that is 0.

    ``conditional``: whether D also sees the input.
    """
    settings, paper = recipe.settings("training", TrainingSettings), TrainingSettings.of()
    weights = {
        weight_key(n): (settings.weights[n] or paper.weights[n]) if on else 0.0 for n, on in (("l1", l1), ("gan", gan))
    }
    return {"training": {**_other_losses_off(settings), **weights, "conditional": conditional}}


def _other_losses_off(settings: TrainingSettings) -> Table:
    """Return settings that turn off the losses other than L1 and GAN, and reset settings that change losses."""
    others = (name for name in settings.loss_weights if name not in ("l1", "gan"))
    return {weight_key(name): 0.0 for name in others} | settings.loss_changes


def _note_omitted_losses(recipe: Recipe, context: Context) -> None:
    """Tell the user which losses of the recipe an ablation leaves out."""
    if on := _other_losses_off(recipe.settings("training", TrainingSettings)):
        context.note(f"an ablation uses only L1 and GAN; left out:  {', '.join(on)}")


def _shortest_side(recipe: Recipe, dataset: Dataset) -> int:
    """Return the shorter side of a training crop, in pixels."""
    import torch

    from vidtrans.networks.init import build_generator

    with torch.device("meta"):
        multiple: int = build_generator(*recipe.choice("generator"), dataset.pairing.in_channels).multiple
    sizes = sorted({picture_size(pair.target) for pair in dataset.role("train")})
    return min(crop_size(sizes, recipe.settings("training", TrainingSettings).crop_size, multiple))


@dataclass(frozen=True)
class _SweepAxis:
    """A setting of a sweep, by ``table`` and ``key``, with its values; ``table`` is '' for the seed."""

    table: str
    key: str
    values: tuple[Any, ...]

    @property
    def name(self) -> str:
        """Return the name of the setting, TABLE.KEY; 'seed' for the seed."""
        return f"{self.table}.{self.key}" if self.table else self.key


def parse_sweep(texts: Sequence[str]) -> dict[str, list[Any]]:
    """Parse texts ``KEY=V,V`` to values by key, as TOML or text; a list keeps its commas. Raises UsageError."""
    by_key: dict[str, list[Any]] = {}
    for text in texts:
        key, equals, values = (part.strip() for part in text.partition("="))
        if not equals or not key:
            raise UsageError(f"--sweep {text}", "it is not of the form KEY=VALUE,VALUE", _FORM)
        if key in by_key:
            raise UsageError(f"--sweep {key}", "it is given twice", "give all of its values in one --sweep")
        parts = [part.strip() for part in _split(values, text)]
        if not all(parts):
            raise UsageError(f"--sweep {text}", "a value is missing", f'{_FORM}; write "" for an empty text')
        by_key[key] = [parse_value(part) for part in parts]
    return by_key


def _split(text: str, whole: str) -> list[str]:
    """Split ``text`` at commas outside brackets and quotes; ``whole``: the option's text for messages.

    Raises UsageError.
    """
    parts, begin, expected = list[str](), 0, list[str]()  # ``expected``: the closing characters.
    for position, character in enumerate(text):
        if expected and character == expected[-1]:
            expected.pop()
        elif expected and expected[-1] in _QUOTES:
            continue
        elif character in _CLOSING:
            expected.append(_CLOSING[character])
        elif character == "," and not expected:
            parts.append(text[begin:position])
            begin = position + 1
    if expected:
        raise UsageError(f"--sweep {whole}", f"a {expected[-1]} is missing", 'write lists as [1,2] and text as "a,b"')
    return [*parts, text[begin:]]


def sweep_variants(
    sweep: Sweep, flags: Mapping[str, Table], make_recipe: Callable[[dict[str, Table]], Recipe]
) -> tuple[Variant, ...]:
    """Return a variant for each combination of the values in ``sweep``, the last key varying fastest; () without keys.

    ``make_recipe`` returns the recipe for tables of flags; ``flags``: the flags common to all variants. Raises
    UsageError on an invalid key or value, and on more than ``MAX_VARIANTS`` variants.
    """
    if not sweep:
        return ()
    count = math.prod(map(len, sweep.values()))
    if count > MAX_VARIANTS:
        sizes = " × ".join(str(len(values)) for values in sweep.values())
        why = f"{sizes} values are {count} trainings, and {MAX_VARIANTS} are the most"
        raise UsageError("--sweep", why, "give fewer values, or make several sweeps")
    axes = [_axis(key, values) for key, values in sweep.items()]
    for name, times in Counter(axis.name for axis in axes).items():
        if times > 1:
            raise UsageError(f"--sweep {name}", "it is given twice", "give all of its values in one --sweep")
    for axis in axes:
        if axis.key in flags.get(axis.table, {}):
            remedy = f"leave out that option ({'--steps or ' if axis.key == 'steps' else ''}--set {axis.name})"
            raise UsageError(f"--sweep {axis.name}", "another option gives it one value for all", remedy)
    combinations = product(*(axis.values for axis in axes))
    found = [_variant(list(zip(axes, values, strict=True)), flags, make_recipe) for values in combinations]
    return tuple(found)


def _axis(key: str, values: Sequence[Any]) -> _SweepAxis:
    """Return the sweep axis of a setting, with checked values. Raises UsageError."""
    axis = _SweepAxis(*_table_and_key(key), tuple(values))
    for value in values if not axis.table else ():
        if type(value) is not int or not 0 <= value <= LARGEST_INT:
            raise UsageError(f"--sweep seed={_text(value)}", "a seed is a whole number from 0 on", "choose another")
    texts = [_text(value) for value in values]
    for text in texts:
        if texts.count(text) > 1:
            raise UsageError(f"--sweep {axis.name}", f"the value {text} is given twice", "leave one of them out")
    if len(values) < 2:
        why = f"one value ({texts[0]}) is no sweep" if values else "it has no values"
        raise UsageError(f"--sweep {axis.name}", why, f"give several, or use --set {axis.name}=VALUE")
    return axis


def _table_and_key(key: str) -> tuple[str, str]:
    """Return the table and the key of a setting; ``("", "seed")`` for the seed. Raises UsageError."""
    if key == SEED:
        return "", SEED
    parts = parse_key(key)
    if parts is None:
        raise UsageError(f"--sweep {key}", "it is not of the form KEY=VALUE,VALUE", _FORM)
    table, name = parts
    table = table or table_of(name, SWEPT_TABLES)
    if table not in SWEPT_TABLES:
        raise unknown_name("table to sweep", table, list(SWEPT_TABLES))
    return table, name


def _variant(
    combination: Sequence[tuple[_SweepAxis, Any]],
    flags: Mapping[str, Table],
    make_recipe: Callable[[dict[str, Table]], Recipe],
) -> Variant:
    """Return the variant of one combination. Raises UsageError, which names the combination if it has several keys."""
    tables = {name: dict(table) for name, table in flags.items()}
    seed = None
    for axis, value in combination:
        if axis.table:
            tables.setdefault(axis.table, {})[axis.key] = value
        else:
            seed = value
    words = _short_keys([axis.name for axis, _ in combination])
    texts = [_text(value) for _, value in combination]
    label = ", ".join(f"{word}={text}" for word, text in zip(words, texts, strict=True))
    name = "_".join(f"{_file_word(word)}-{_file_value(text)}" for word, text in zip(words, texts, strict=True))
    try:
        recipe = make_recipe(tables)
    except UsageError as error:
        if len(combination) > 1:
            error = UsageError(f"--sweep, with {label}: {error.what}", error.why, error.remedy)
        raise error from None
    settings = {axis.name: value for axis, value in combination}
    return Variant(name, label, recipe, settings, seed)


def check_variants(variants: Sequence[Variant], context: Context) -> None:
    """Raise UsageError if two variants are the same training, because their difference does not affect the result."""
    labels: dict[str, str] = {}
    for variant in variants:
        recipe = variant.recipe
        settings = recipe.settings("training", TrainingSettings).on(context.device_kind)
        seed = context.seed if variant.seed is None else variant.seed
        key = digest_of([recipe.choice("generator"), recipe.choice("discriminator"), settings.for_key(), seed])
        if (other := labels.setdefault(key, variant.label)) != variant.label:
            why = f"{other} and {variant.label} are the same training"
            raise UsageError("--sweep", why, "leave out one of the two, or sweep a setting that changes the model")


def check_networks(variants: Sequence[Variant]) -> None:
    """Raise UsageError, which names the variant, on an unknown network name or setting. Imports torch."""
    from vidtrans.networks.init import complete_settings

    for variant in variants:
        for kind, registry in (("generator", GENERATORS), ("discriminator", DISCRIMINATORS)):
            try:
                complete_settings(registry, *variant.recipe.choice(kind), kind)
            except UsageError as error:
                raise UsageError(f"{variant.label}: {error.what}", error.why, error.remedy) from None


def sweep_name(names: Sequence[str]) -> str:
    """Return the part of a folder name that lists a sweep's settings."""
    return "_".join(map(_file_word, _short_keys(names)))


def _short_keys(names: Sequence[str]) -> list[str]:
    """Return setting names without their tables ('lr' for 'training.lr', TABLE for 'TABLE.name') if still distinct."""
    short = [table if key == "name" else key for table, _, key in (name.rpartition(".") for name in names)]
    return [name if short.count(word) > 1 else word for name, word in zip(names, short, strict=True)]


def _file_word(word: str) -> str:
    """Return the part of a file name for a setting's key; a loss weight is named after the loss."""
    return _sanitise(word.removeprefix(weight_key("")))


def _text(value: object) -> str:
    """Format a setting's value for labels and file names; equal numbers, as 1e-4 and 0.0001, give equal text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return re.sub(r"e([+-])0*", lambda m: f"e{m[1].strip('+')}", f"{value:.12g}")
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, value))}]"
    return str(value)


def _file_value(text: str) -> str:
    """Return the part of a file name for a value, with a digest if characters (or capitals) were dropped."""
    plain = _sanitise(text)
    return plain if plain == text.lower() else f"{plain}-{digest_of(text)[:6]}"


def _sanitise(text: str) -> str:
    """Reduce text to letters, digits, dots and dashes, for a file name."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text)[:MAX_VALUE_LENGTH].strip("-.") or "empty"
