"""Read and write single picture files: ``picture`` handles all formats, with ``exr`` for OpenEXR."""
