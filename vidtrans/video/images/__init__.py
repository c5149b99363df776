"""Single picture files: ``picture`` reads, writes and resizes, ``exr`` is OpenEXR."""
