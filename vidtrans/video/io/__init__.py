"""Reading and writing media files.

Read: ``container`` opens a file and describes its headers, ``decoder`` decodes and deinterlaces, ``frame_conversion``
makes upright RGB of frames (by ``video.colour``), ``timestamps`` repairs times. ``reader`` makes a clip of a video by
these, ``pictures`` of pictures; ``clip`` is what both have in common, ``policy`` the report of what is unusual.
``sound`` reads samples.

Write: ``codecs`` is the table of encoders and containers, ``encoding`` the settings, ``encoder`` encodes chunks,
``join`` muxes them, ``stream_copy`` carries sound, subtitles, chapters and ``timecode`` over, ``gif`` writes GIFs.
``hardware`` decodes and encodes on a GPU.
"""
