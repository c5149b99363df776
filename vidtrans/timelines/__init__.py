"""Timelines of editors (OpenTimelineIO, EDL): their clips, the media of these, and links to styled media."""
