"""Stand-in for ComfyUI's API: the signatures that the nodes use, checked against the real ones where they are."""
