"""TLS towards the CSMS: one context a trust store, and every refusal in words that a technician can act on.

Rules kept: TLS 1.2 at least, as the security profiles of OCPP want it; the cipher suites that OCPP
names, and their ECDHE-RSA sisters, which most public CSMS certificates need; host name checked; no compression, no
renegotiation. The trust store is data: a CA file if one is configured, else the operating system's. A context is built
once and again only when the file has changed, since building one takes time and memory.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from agent.errors import LinkError

CIPHERS = ":".join(
    (
        "ECDHE-ECDSA-AES128-GCM-SHA256",  # the four that OCPP names ...
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES128-GCM-SHA256",  # ... with forward secrecy for RSA certificates before the two without it
        "ECDHE-RSA-AES256-GCM-SHA384",
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
    )
)

# X509_V_ERR_* of OpenSSL -> what it means here
VERIFY_WORDS = {
    2: "the issuer of the certificate is not in our trust store",
    9: "the certificate is not valid yet: is this charger's clock right?",
    10: "the certificate has expired (or this charger's clock is wrong)",
    18: "the certificate is self-signed and not in our trust store",
    19: "the certificate was signed by an authority that is not in our trust store",
    20: "the certificate was signed by an authority that is not in our trust store",
    21: "the certificate cannot be verified: intermediate certificates are missing",
    23: "the certificate has been revoked",
    26: "the certificate was not made for a server",
    62: "the certificate belongs to another host name",
    64: "the certificate belongs to another IP address",
    66: "the key of the certificate is too short",
    67: "the key of an authority's certificate is too short",
    68: "the signature of the certificate is too weak",
}

# reason of ssl.SSLError -> what it means here
REASON_WORDS = {
    "WRONG_VERSION_NUMBER": "the server does not speak TLS on this port (is it ws:// rather than wss://?)",
    "HTTP_REQUEST": "the server does not speak TLS on this port (is it ws:// rather than wss://?)",
    "RECORD_LAYER_FAILURE": "the server does not speak TLS on this port (is it ws:// rather than wss://?)",
    "UNSUPPORTED_PROTOCOL": "the server speaks only TLS older than 1.2",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the server and we have no TLS version in common (we speak 1.2 and 1.3)",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the server and we have no cipher in common, or it wants a client certificate",
    "NO_CIPHERS_AVAILABLE": "the server and we have no cipher in common",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server wants a client certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "the server does not trust our certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the server does not accept our certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the server does not accept our certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the server says that our certificate has expired",
    "TLSV1_UNRECOGNIZED_NAME": "the server knows no host of this name",
    "TLSV1_ALERT_INTERNAL_ERROR": "the server failed while it set up TLS",
    "DH_KEY_TOO_SMALL": "the server's Diffie-Hellman key is too short",
    "UNEXPECTED_EOF_WHILE_READING": "the server closed the connection while TLS was being set up",
}


def client_context(ca_file: str | None = None) -> ssl.SSLContext:
    """A context that trusts the CAs in `ca_file` (PEM), or the system's if None. Raises LinkError in plain words."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies the chain and the host name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if ca_file is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        return context
    try:
        context.load_verify_locations(cafile=ca_file)
    except ssl.SSLError:
        raise LinkError(f"the CA file {ca_file} holds no certificate in PEM form") from None
    except OSError as e:
        raise LinkError(f"the CA file {ca_file} cannot be read: {e.strerror or e}") from None
    return context


class TrustStore:
    """Keeps the context of the last CA file used; a file that was replaced is read again."""

    def __init__(self) -> None:
        self._key: tuple[str | None, int, int] | None = None
        self._context: ssl.SSLContext | None = None

    def context(self, ca_file: str | None) -> ssl.SSLContext:
        key = (ca_file, *_stamp(ca_file))
        if self._context is None or key != self._key:
            self._context, self._key = client_context(ca_file), key
        return self._context


def _stamp(ca_file: str | None) -> tuple[int, int]:
    try:
        stat = Path(ca_file).stat() if ca_file is not None else None
    except OSError:
        stat = None  # client_context will say it better
    return (stat.st_mtime_ns, stat.st_ino) if stat is not None else (0, 0)


def explain(error: ssl.SSLError) -> str:
    """Why TLS failed, in one plain line."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return VERIFY_WORDS.get(error.verify_code, f"the certificate was refused: {error.verify_message}")
    reason = error.reason or ""
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        reason = "UNEXPECTED_EOF_WHILE_READING"
    return REASON_WORDS.get(reason, f"TLS failed: {reason.replace('_', ' ').lower() or error.strerror or error}")
