"""Colours: ``tags`` names the colour tags of frames, ``conversion`` converts pixels, ``hdr`` maps HDR to SDR."""
