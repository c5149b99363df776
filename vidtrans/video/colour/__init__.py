"""Convert colours: ``tags`` names the colour tags, ``conversion`` converts pixels by them, and maps HDR to SDR."""
