"""What a run shows of itself: the report page, curves, previews."""
