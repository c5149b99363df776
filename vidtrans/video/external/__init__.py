"""The user's own ffmpeg program."""
