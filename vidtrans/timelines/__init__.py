"""Timelines of editing programs (OpenTimelineIO, EDL): their clips and media, and links to styled media."""
