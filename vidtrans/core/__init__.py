"""Base modules, which import no other part of vidtrans: errors, files, settings, registries, events, threads."""
