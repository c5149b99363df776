"""``vidtrans plugins``: list the components that plug-in packages add, and the errors of those that cannot be used."""

from __future__ import annotations

from dataclasses import dataclass

from vidtrans.commands.base import Command
from vidtrans.core.errors import PluginError
from vidtrans.core.registry import Entry, Plugin, Registry, installed_plugins
from vidtrans.core.settings import Table
from vidtrans.session import Context

# Locations (module:object) of the registries that plug-ins extend, by ``Plugin.group``
_REGISTRIES = {
    "pairings": Entry("vidtrans.pairing:PAIRINGS", ""),
    "generators": Entry("vidtrans.networks:GENERATORS", ""),
    "losses": Entry("vidtrans.training:LOSSES", ""),
    "training_methods": Entry("vidtrans.training:METHODS", ""),
    "flow_methods": Entry("vidtrans.flow:FLOWS", ""),
    "filters": Entry("vidtrans.temporal:FILTERS", ""),
    "engines": Entry("vidtrans.inference:ENGINES", ""),
    "executors": Entry("vidtrans.batch.executors:EXECUTORS", ""),
    "model_formats": Entry("vidtrans.models.formats:FORMATS", ""),
    "segmenters": Entry("vidtrans.matting.segmenters:SEGMENTERS", ""),
    "commands": Entry("vidtrans.commands:COMMANDS", ""),
}


@dataclass(frozen=True)
class Plugins(Command):
    """List the plug-ins of other packages, and the errors of plug-ins that cannot be used.

    A package declares a plug-in by an entry point. During development, VIDTRANS_PLUGINS=module:object declares it. This
    command imports all plug-ins; other commands import only the plug-ins that they use.
    """

    def make(self, context: Context) -> Table:
        """Return a row for each plug-in: package, version, kind, name, summary and state."""
        return {"plugins": [_row(plugin) for plugin in installed_plugins()]}

    def describe(self, table: Table) -> str:
        """Return a line for each plug-in, with its error, as text. ``table``: the result of ``make``."""
        rows = table["plugins"]
        if not rows:
            return "no plug-ins are installed; docs/extend/index.md says how a package offers parts"
        lines = [f"{row['package']} {row['version']}  {row['kind']}  {row['name']}  {row['summary']}" for row in rows]
        states = ["" if row["state"] == "ok" else f"\n  {row['state']}" for row in rows]
        return "\n".join(line.rstrip() + state for line, state in zip(lines, states, strict=True))


def _row(plugin: Plugin) -> Table:
    """Return the package, version, kind, name, summary and state of a plug-in; the state is "ok" or the error."""
    summary, state = "", "ok"
    try:
        entry = _entry(plugin)
        if entry is None:
            state = f"ignored: vidtrans has a part '{plugin.name}' of its own, which is used; choose another name"
        else:
            summary = entry.summary
            entry.load()
    except PluginError as error:
        state = f"broken: {error.why}"
    return {
        "package": plugin.package.name,
        "version": plugin.package.version,
        "kind": plugin.group,
        "name": plugin.name,
        "summary": summary,
        "state": state,
    }


def _entry(plugin: Plugin) -> Entry | None:
    """Return the registry entry of a plug-in; None if a built-in entry has the same name.

    Raises PluginError if the plug-in cannot be used.
    """
    if plugin.group not in _REGISTRIES or plugin.error:
        plugin.load()  # Raises PluginError with the reason.
    registry: Registry[Entry] = _REGISTRIES[plugin.group].load()
    return None if plugin.name in registry.builtin else registry[plugin.name]
