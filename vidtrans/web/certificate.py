"""A self-signed certificate for the names of this machine: browsers allow cameras only on localhost and https."""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from vidtrans.core.files import write_bytes

VALIDITY = timedelta(days=397)  # Validity of a new certificate: the longest that browsers accept
RENEWAL_TIME = timedelta(days=30)  # Remaining validity below which a new certificate is written


def machine_names() -> list[str]:
    """Return the host names and IP addresses of this machine, the network addresses last."""
    names = ["localhost", "127.0.0.1", "::1"]
    host = socket.gethostname().lower()
    names += [host] if "." in host else [host, f"{host}.local"]
    with suppress(OSError):
        names += [str(info[4][0]) for info in socket.getaddrinfo(host, None)]
    names += [address for address in (_outward_address(),) if address]
    return list(dict.fromkeys(name.partition("%")[0] for name in names if name))


def _outward_address() -> str:
    """Return the address of this machine on its network; '' without a network. No packet is sent."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # Reserved for documentation (RFC 5737)
        return str(probe.getsockname()[0])
    return ""


def link_name(names: Sequence[str]) -> str:
    """Return the name or address to use in links that other devices on the network open."""
    addresses = [n for n in names if _is_address(n) and not ipaddress.ip_address(n).is_loopback]
    return (addresses or list(names))[-1]


def _is_address(name: str) -> bool:
    """Return whether a host name is an IP address."""
    with suppress(ValueError):
        ipaddress.ip_address(name)
        return True
    return False


def certificate_folder() -> Path:
    """Return the folder of the certificate, in the user's data folder."""
    import platformdirs

    return Path(platformdirs.user_data_dir("vidtrans"))


def find_certificate(folder: Path, names: Sequence[str]) -> tuple[Path, Path]:
    """Return the paths of the certificate and its key for host ``names``, from ``folder`` or newly written there.

    An existing certificate is reused until 30 days before it expires, so that phones keep trusting it. Raises OSError.
    """
    from cryptography import x509

    certificate, key = folder / "live-certificate.pem", folder / "live-key.pem"
    with suppress(OSError, ValueError, x509.ExtensionNotFound):
        old = x509.load_pem_x509_certificate(certificate.read_bytes())
        alternatives = old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        old_names = {str(name.value) for name in alternatives}
        if set(names) <= old_names and old.not_valid_after_utc - datetime.now(UTC) > RENEWAL_TIME and key.is_file():
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)  # Fails if they do not match
            return certificate, key
    _write_certificate(certificate, key, names)
    return certificate, key


def _write_certificate(certificate: Path, key: Path, names: Sequence[str]) -> None:
    """Write a new self-signed certificate for host ``names`` and its private key. Raises OSError."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    secret = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vidtrans live")])
    alternatives = [x509.IPAddress(ipaddress.ip_address(n)) if _is_address(n) else x509.DNSName(n) for n in names]
    now = datetime.now(UTC)
    new_certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + VALIDITY - timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(secret, hashes.SHA256())
    )
    certificate.parent.mkdir(parents=True, exist_ok=True)
    form = serialization.PrivateFormat.PKCS8
    pem = serialization.Encoding.PEM
    key.unlink(missing_ok=True)
    with open(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # Never readable by others
        file.write(secret.private_bytes(pem, form, serialization.NoEncryption()))
    write_bytes(certificate, new_certificate.public_bytes(pem))
