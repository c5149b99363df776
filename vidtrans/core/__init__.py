"""Base modules, which import no others: errors, files, settings, registries, events, parameters, machine, threads."""
