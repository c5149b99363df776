"""Colours: ``tags`` names what frames carry, ``conversion`` converts pixels both ways, ``hdr`` maps HDR to SDR."""
