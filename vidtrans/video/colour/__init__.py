"""Colours: ``tags`` names the colour tags, ``conversion`` converts pixels by them, ``hdr`` maps HDR to SDR."""
