"""The web server of ``vidtrans live``, ``studio`` and ``vote``: address, access control, certificate, scripts."""

LOOPBACK = ("127.0.0.1", "::1", "localhost")  # Host names and addresses that only this machine can reach
MAX_MESSAGE = 8 << 20  # Largest body of a request, and largest WebSocket message, in bytes
