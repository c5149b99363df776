"""The web server of ``vidtrans live``, ``studio`` and ``vote``: address, access control, certificate, scripts."""

LOOPBACK = ("127.0.0.1", "::1", "localhost")  # Host names that only this machine can reach.
MAX_MESSAGE = 8 << 20  # Bytes of a request's body and of a WebSocket message.
