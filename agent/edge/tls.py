"""TLS towards the CSMS: one context a trust store, and every refusal in words that a technician can act on.

Rules kept: TLS 1.2 at least, as the security profiles of OCPP want it; the cipher suites that OCPP
names, and their ECDHE-RSA sisters, which most public CSMS certificates need; host name checked; no compression, no
renegotiation. The trust store is data: a CA file if one is configured, else the operating system's; roots that were
installed from afar vouch beside it, so that the way back to a server that was trusted never goes. A context is built
once and again only when a file has changed, since building one takes time and memory.
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


Client = tuple[str, str]  # files of a chain and of its key


def client_context(
    ca_file: str | None = None, more: str | None = None, client: Client | None = None, *, system: bool = True
) -> ssl.SSLContext:
    """A context that trusts the CAs in `ca_file` (PEM), or the system's if there is none, and those in `more`, and that
    shows the certificate `client`. `system` False: the system's only if there is neither. Raises LinkError in plain
    words."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies the chain and the host name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if ca_file is None and (system or more is None):
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if ca_file is not None:
        _trust(context, ca_file)
    if more is not None:
        vouch(context, more)
    if client is not None:
        _show(context, client)
    return context


def vouch(context: ssl.SSLContext, file: str) -> None:
    """The certificates in this file count as well, from now on."""
    _trust(context, file)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a root may be signed by the one that it has replaced


def _trust(context: ssl.SSLContext, file: str) -> None:
    try:
        context.load_verify_locations(cafile=file)
    except ssl.SSLError:
        raise LinkError(f"the CA file {file} holds no certificate in PEM form") from None
    except OSError as e:
        raise LinkError(f"the CA file {file} cannot be read: {e.strerror or e}") from None


def _show(context: ssl.SSLContext, client: Client) -> None:
    chain, key = client
    try:
        context.load_cert_chain(chain, key, password=_no_password)
    except ssl.SSLError as e:
        why = "the key is another one's" if e.reason == "KEY_VALUES_MISMATCH" else "no certificate and key in PEM form"
        raise LinkError(f"our certificate {chain} cannot be used: {why}") from None
    except (OSError, ValueError) as e:
        text = (e.strerror if isinstance(e, OSError) else None) or e
        raise LinkError(f"our certificate {chain} or its key cannot be read: {text}") from None


def _no_password() -> str:
    """Else OpenSSL would ask on the terminal."""
    return ""


class TrustStore:
    """Keeps the context of the last files used; a file that was replaced is read again."""

    def __init__(self) -> None:
        self._key: tuple[object, ...] = ()
        self._context: ssl.SSLContext | None = None

    def context(
        self, ca_file: str | None, more: str | None = None, client: Client | None = None, *, system: bool = True
    ) -> ssl.SSLContext:
        key = (system, *((file, *_stamp(file)) for file in (ca_file, more, *(client or ()))))
        if self._context is None or key != self._key:
            self._context, self._key = client_context(ca_file, more, client, system=system), key
        return self._context


def _stamp(file: str | None) -> tuple[int, int]:
    try:
        stat = Path(file).stat() if file is not None else None
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
