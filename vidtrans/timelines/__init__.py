"""Timelines of editors (OpenTimelineIO, EDL): the clips that they show, their media, and links to styled media."""
