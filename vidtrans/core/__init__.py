"""Modules that import no room: errors, files, settings, registries, events, parameters, the machine, threads."""
