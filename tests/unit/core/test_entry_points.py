"""Parts of other packages: found when a name is unknown or listed, refused in one line, and on record."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from chain import vidtrans
from plugin_site import PackageSite, forget_modules

from vidtrans.config.recipe import table_of
from vidtrans.core.errors import MediaError, PluginError, UsageError
from vidtrans.core.registry import VARIABLE, Package, forget_plugins
from vidtrans.core.settings import from_table
from vidtrans.inference import ENGINES
from vidtrans.models.formats import FORMATS, model_suffixes
from vidtrans.pairing import PAIRINGS
from vidtrans.pairing.pairing_records import make_pairing, pairing_record
from vidtrans.training import LOSSES, plugins_in_use
from vidtrans.training.settings import TrainingSettings

MODULE = '''
from vidtrans.commands import CommandEntry
from vidtrans.commands.base import Command
from vidtrans.core.registry import Entry
from vidtrans.pairing.denoise import Denoise
from vidtrans.training import Label, Loss, Method, own_settings
from vidtrans.core.options import option
from dataclasses import dataclass


class Ink(Denoise):
    """A pairing."""
    name = "ink"


@dataclass(frozen=True)
class Count(Command):
    """Count."""
    def make(self, context): return {"count": 3}
    def describe(self, table): return f"{table['count']} things"


INK = Entry("NAME:Ink", "ink -> the frame")
GONE = Entry("NAME_that_is_gone:Gone", "its module is not there")
EDGES = Loss("NAME:Edges", "an edge loss", Label("G: my edges", "mine"), weight=5.0)
SLOW = Method("NAME:Slow", "a method", settings=own_settings(own_key=option(1.0, "its own")))
COUNT = CommandEntry("NAME:Count", "Count things.")
PLUGINS = {"pairings": {"ink": INK}}
'''
BROKEN = "raise RuntimeError('no licence\\nfor this')"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(VARIABLE, raising=False)
    forget_modules()
    yield
    forget_modules()


class Site(PackageSite):
    """A folder of packages, whose modules have all that is above, if nothing else."""

    def install(self, package: str, points: dict[str, str], text: str = MODULE, version: str = "1.0") -> None:
        super().install(package, points, text, version)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.syspath_prepend(tmp_path)
    return Site(tmp_path)


def rows() -> dict[str, dict[str, str]]:
    return {row["name"]: row for row in json.loads(vidtrans("plugins", "--json").stdout)["plugins"]}


def test_names_are_listed_without_an_import(site: Site) -> None:
    site.install("my-ink", {"pairings.ink": "INK", "commands.count": "COUNT", "engines.fast": "INK"})
    with pytest.raises(UsageError, match=r"choose from: .*ink \(of my-ink 1\.0\), .*sketch"):
        PAIRINGS["zzz"]
    assert "ink(ofmy-ink1.0)" in "".join(vidtrans("make-dataset", "--help").stdout.split())
    assert re.search(r"count +Of the plug-in my-ink 1\.0\.", vidtrans("--help").stdout)
    assert "fast (of my-ink 1.0)" in vidtrans("stylize", "x.mp4", "--engine", "fats", expect=2).stderr
    assert "plug_my_ink" not in sys.modules


def test_a_command_of_a_package_is_a_command_and_a_function(site: Site) -> None:
    import vidtrans as api

    site.install("my-count", {"commands.count": "COUNT", "commands.model count": "COUNT"})
    assert vidtrans("count").stdout == "3 things\n"
    assert json.loads(vidtrans("model", "count", "--json").stdout)["count"] == 3
    assert "Of the plug-in my-count 1.0." in vidtrans("model", "--help").stdout
    assert api.count()["count"] == 3
    assert {"count", "model_count"} <= set(dir(api))
    with pytest.raises(AttributeError):
        api.kount  # noqa: B018
    assert "count" in json.loads(vidtrans("schema", "--json").stdout)["commands"]


def test_a_loss_is_off_until_its_weight_is_set_and_a_method_has_its_own_settings(site: Site) -> None:
    before = TrainingSettings.of().for_key()
    site.install("my-edges", {"losses.edges": "EDGES"})
    assert TrainingSettings.of().for_key() == before
    assert from_table(TrainingSettings, {"lambda_edges": 0}, "training").for_key() == before
    found = from_table(TrainingSettings, {"lambda_edges": 2}, "training")
    assert found.loss_weights["edges"] == 2
    assert found.for_key() == before | {"lambda_edges": 2.0}
    assert table_of("lambda_edges", ["dataset", "training"]) == "training"
    assert plugins_in_use(found.loss_weights, "pix2pix") == {
        "plugins": {"edges": {"package": "my-edges", "version": "1.0"}}
    }
    assert plugins_in_use(TrainingSettings.of().loss_weights, "pix2pix") == {}
    site.install("my-slow", {"training_methods.slow": "SLOW"})  # a method has its own settings
    found = from_table(TrainingSettings, {"own_key": 3, "method": "slow"}, "training")
    assert found.values()["own_key"] == 3
    assert from_table(TrainingSettings, {"own_key": 3}, "training").for_key() == TrainingSettings.of().for_key()


def test_package_and_version_are_in_records_of_its_parts_and_an_absent_one_is_named(site: Site) -> None:
    site.install("my-ink", {"pairings.ink": "INK"}, version="2.1")
    record = pairing_record(make_pairing("ink", {}))
    assert record["plugin"] == {"package": "my-ink", "version": "2.1"}
    assert "plugin" not in pairing_record(make_pairing("denoise", {}))
    PAIRINGS.require(record, Path("a.safetensors"), MediaError)
    absent = {"name": "pen", "plugin": {"package": "my-pen", "version": "2.1"}}
    with pytest.raises(MediaError, match=r"^a: its pairing 'pen' is of the plug-in my-pen 2\.1.*pip install my-pen$"):
        PAIRINGS.require(absent, Path("a"), MediaError)
    developed = {"name": "pen", "plugin": {"package": "my_ink:PLUGINS", "version": "0a1b"}}
    with pytest.raises(MediaError, match=r"plug-in VIDTRANS_PLUGINS=my_ink:PLUGINS, .* — set VIDTRANS_PLUGINS=my_ink"):
        PAIRINGS.require(developed, Path("a"), MediaError)


@pytest.mark.parametrize(
    ("package", "version"), [("--index-url=http://a", "1"), ("a b", "1"), ("a", "1; rm"), ("a" * 200, "1"), (1, "1")]
)
def test_what_a_stranger_wrote_as_a_package_is_never_an_advice(package: object, version: str) -> None:
    for table in ({"package": package, "version": version}, {}, "my-ink"):
        with pytest.raises(ValueError, match="no valid"):
            Package.of_table(table)


def test_a_built_in_part_outranks_a_plug_in_of_its_name(site: Site) -> None:
    site.install("my-ink", {"pairings.edges": "INK"})
    assert PAIRINGS["edges"].path.startswith("vidtrans.")
    assert list(PAIRINGS) == list(PAIRINGS.builtin)
    assert rows()["edges"]["state"].startswith("ignored: vidtrans has a part 'edges' of its own")


def test_a_plug_in_that_raises_at_import_is_one_line_and_breaks_nothing_else(site: Site) -> None:
    points = {"pairings.ink": "INK", "losses.edges": "EDGES", "model_formats.png": "PNG", "commands.count": "COUNT"}
    site.install("my-ink", points, BROKEN)
    line = "plug-in my-ink 1.0: RuntimeError: no licence — update or remove it: pip uninstall my-ink"
    for command in (["make-dataset", "x.mp4", "--pairing", "ink"], ["train", "x", "--set=lambda_edges=1"], ["count"]):
        assert vidtrans(*command, expect=2).stderr == f"error: {line}\n"
    assert {row["state"] for row in rows().values()} == {"broken: RuntimeError: no licence"}
    assert "broken: RuntimeError: no licence" in vidtrans("plugins").stdout
    assert "count" not in json.loads(vidtrans("schema", "--json").stdout)["commands"]
    assert list(dict(FORMATS.working_entries())) == list(FORMATS.builtin)
    assert model_suffixes()
    assert vidtrans("model", "formats").returncode == 0
    assert vidtrans("--help").returncode == 0


def test_a_part_whose_own_module_is_gone_names_its_package(site: Site) -> None:
    site.install("my-gone", {"pairings.gone": "GONE", "engines.gone": "GONE"})
    assert PAIRINGS["gone"].summary == "its module is not there"
    with pytest.raises(PluginError, match=r"^plug-in .*: ModuleNotFoundError: No module named 'plug_my_gone_that"):
        PAIRINGS.load("gone")
    assert dict(ENGINES.loaded()).keys() == ENGINES.builtin.keys()
    assert rows()["gone"]["state"].startswith("broken: ModuleNotFoundError")


def test_an_entry_of_another_kind_or_name_is_refused(site: Site) -> None:
    site.install(
        "my-ink", {"losses.ink": "INK", "looses.ink2": "INK", "pairings.none": "NOTHING", "pairings.pen": "INK"}
    )
    with pytest.raises(PluginError, match=r"my-ink 1\.0: 'plug_my_ink:INK' must be a Loss, as for any loss"):
        LOSSES["ink"]
    with pytest.raises(PluginError, match="AttributeError"):
        PAIRINGS["none"]
    assert rows()["ink2"]["state"].startswith("broken: the group 'vidtrans.looses' is none of pairings, ")
    with pytest.raises(UsageError, match="its class has the name 'ink'"):
        make_pairing("pen", {})


def test_while_one_develops_a_variable_names_the_parts(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    (site.folder / "plug_dev.py").write_text(MODULE.replace("NAME", "plug_dev"))
    monkeypatch.setenv(VARIABLE, "plug_dev:PLUGINS")
    forget_plugins()
    first = pairing_record(make_pairing("ink", {}))["plugin"]
    assert first["package"] == "plug_dev:PLUGINS"
    assert rows()["ink"].items() >= {"kind": "pairings", "version": first["version"], "state": "ok"}.items()
    (site.folder / "plug_dev.py").write_text(MODULE.replace("NAME", "plug_dev") + "# changed\n")
    forget_plugins()
    assert pairing_record(make_pairing("ink", {}))["plugin"]["version"] != first["version"]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("plug_absent:PLUGINS", "ModuleNotFoundError: No module named 'plug_absent'"),
        ("plug_absent", "it must be module:object"),
        ("json:dumps", "the object must map kinds to tables of entries"),
    ],
)
def test_a_wrong_variable_is_a_row_and_breaks_nothing(value: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, value)
    forget_plugins()
    assert rows()[""]["state"].startswith(f"broken: {why}")
    assert "choose from: aligned" in vidtrans("make-dataset", "x.mp4", "--pairing", "inc", expect=2).stderr


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("INK = (", "SyntaxError: '(' was never closed"),
        ("", "AttributeError: module 'plug_my_ink' has no attribute 'INK'"),
    ],
)
def test_whatever_ends_an_import_is_one_line(text: str, why: str, site: Site) -> None:
    site.install("my-ink", {"pairings.ink": "INK"}, text)
    said = vidtrans("make-dataset", "x.mp4", "--pairing", "ink", expect=2).stderr
    assert said.startswith(f"error: plug-in my-ink 1.0: {why}")
    assert said.endswith(" — update or remove it: pip uninstall my-ink\n")
    assert said.count("\n") == 1
    assert rows()["ink"]["state"].startswith(f"broken: {why}")


def test_ctrl_c_during_an_import_ends_the_command(site: Site) -> None:
    site.install("my-ink", {"pairings.ink": "INK"}, "raise KeyboardInterrupt")
    assert "Traceback" not in vidtrans("make-dataset", "x.mp4", "--pairing", "ink", expect=130).stderr


@pytest.mark.parametrize("record", [b"[vidtrans.pairings]\nink\n", b"[vidtrans.pairings]\nink = \xff:INK\n"])
def test_a_damaged_record_of_a_package_is_a_row_and_breaks_nothing(record: bytes, site: Site) -> None:
    site.install("my-ink", {"pairings.ink": "INK"})
    site.record("other", "")
    (site.folder / "other-1.0.dist-info/entry_points.txt").write_bytes(record)
    forget_plugins()
    assert "ink" in PAIRINGS
    states = {row["package"]: row["state"] for row in rows().values()}
    assert states["other"].startswith("broken: its entry_points.txt cannot be read")


def test_a_part_that_is_installed_and_in_the_variable_is_named_twice(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.install("my-ink", {"pairings.ink": "INK"})
    monkeypatch.setenv(VARIABLE, "plug_my_ink:PLUGINS")
    forget_plugins()
    with pytest.raises(PluginError, match=r"VIDTRANS_PLUGINS=plug_my_ink:PLUGINS and my-ink 1\.0 both offer it"):
        PAIRINGS.load("ink")
