"""Sweeps: what is read, the combinations, and what they are called."""

from __future__ import annotations

from typing import Any

import pytest

from vidtrans.config.recipe import Recipe, make_recipe
from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table
from vidtrans.training.settings import TrainingSettings
from vidtrans.training.variants import MAX_VARIANTS, Variant, parse_sweep, sweep_variants


def recipe_of(tables: dict[str, Table]) -> Recipe:
    return make_recipe("edges", None, tables)


def variants(*texts: str, **flags: Table) -> tuple[Variant, ...]:
    return sweep_variants(parse_sweep(texts), flags, recipe_of)


def test_values_are_read_as_toml_else_as_text_and_lists_keep_their_commas() -> None:
    read: dict[str, list[Any]] = {
        "training.lr=1e-4, 2e-4": [1e-4, 2e-4],
        "lr_schedule=linear,cosine": ["linear", "cosine"],
        "crop_size=none,256": ["none", 256],
        "flip=true,false": [True, False],
        "generator.blocks=[0, 0, 0],[1,1,1]": [[0, 0, 0], [1, 1, 1]],
        'freeze=[],["stem","down,0"]': [[], ["stem", "down,0"]],
        "card='a,b',\"c]\"": ["a,b", "c]"],
        "a=b=c,d": ["b=c", "d"],
    }
    assert {text: next(iter(parse_sweep([text]).values())) for text in read} == read


def test_the_last_key_changes_fastest_and_each_has_the_recipe_of_its_flags() -> None:
    found = variants("training.lambda_l1=50,100", "seed=0,7", "training.lr=0.0001,2e-5")
    told = [f"lambda_l1=50, seed={rest}" for rest in ("0, lr=0.0001", "0, lr=2e-5", "7, lr=0.0001")]
    assert [v.label for v in found[:3]] == told
    assert [v.name for v in found][:2] == ["l1-50_seed-0_lr-0.0001", "l1-50_seed-0_lr-2e-5"]
    assert len(found) == 8
    assert found[-1].settings == {"training.lambda_l1": 100, "seed": 7, "training.lr": 2e-5}
    assert found[-1].seed == 7
    settings = found[-1].recipe.settings("training", TrainingSettings)
    assert (settings.weights["l1"], settings.lr) == (100.0, 2e-5)


def test_names_are_safe_as_those_of_files_and_no_two_are_the_same() -> None:
    found = variants('freeze=["a/b"],["a b"],["A b"],[],["../.."]')
    names = [v.name for v in found]
    stems = ["freeze-a-b", "freeze-a-b", "freeze-A-b", "freeze-empty", "freeze-empty"]
    assert [name.rpartition("-")[0] for name in names] == stems
    assert len({name.casefold() for name in names}) == 5
    again = [v.name for v in variants('freeze=["A b"],["a b"]')]
    assert again == [names[2], names[1]]  # whatever other values there are
    assert all(len(v.name) < 60 for v in variants(f'freeze=["{"x" * 300}"],["{"x" * 301}"]'))


REFUSED = [
    (["training.lr"], "--sweep training.lr: it is not of the form KEY=VALUE,VALUE"),
    (["freeze=[1,2"], "a ] is missing — write lists as [1,2]"),
    (["training.learning_rate=1,2"], "no setting 'learning_rate'"),
    (["lambda_11=1,2"], "did you mean 'lambda_l1'?"),
    (["card.author=a,b"], "unknown table to sweep 'card'"),
    (["channels=1,2"], "2 tables have it — use generator.channels or discriminator.channels"),
    (["training.lr=fast,slow"], "training.lr = 'fast': it must be a finite number"),
    (["training.lr=0.1,2"], "training.lr = 2.0: out of bounds"),
    (["training.lr=0.1"], "--sweep training.lr: one value (0.1) is no sweep — give several, or use --set"),
    (["training.lr=0.1,0.2", "training.lr=0.3,0.4"], "--sweep training.lr: it is given twice"),
    (["training.lr=1e-4,0.0001"], "the value 0.0001 is given twice"),
    (["seed=0,-1"], "a seed is a whole number from 0 on"),
    ([f"seed={','.join(map(str, range(MAX_VARIANTS + 1)))}"], "65 values are 65 trainings, and 64 are the most"),
    ([f"{key}={','.join(map(str, range(1, 10)))}" for key in ("seed", "steps")], "9 × 9 values are 81 trainings"),
    (["lambda_perceptual=0,1", "lambda_l1=0,1", "lambda_gan=0,1"], "lambda_l1=0, lambda_gan=0: settings in [training]"),
    (["steps=1,2"], "leave out that option (--steps or --set training.steps)"),
]


def test_what_cannot_be_is_one_line() -> None:
    for texts, line in REFUSED:
        flags: dict[str, Table] = {"training": {"steps": 3}} if texts == ["steps=1,2"] else {}
        with pytest.raises(UsageError) as raised:
            variants(*texts, **flags)
        assert line in str(raised.value)
        assert "\n" not in str(raised.value)
