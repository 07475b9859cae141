"""Where a file is to be fetched from or sent to: a URL as a CSMS writes it, taken apart and checked.

Rules kept: only the schemes of OCPP's file transfers, never `file:`; no control characters, which would smuggle
commands into FTP or headers into HTTP; what is shown of a location is scheme, host and port, since the login, the query
and even the path (signed addresses) may be secret. Characters that a CSMS should have percent-encoded are encoded, what
is encoded stays as it is.
"""

from __future__ import annotations

from importlib.util import find_spec
from urllib.parse import quote, unquote, urljoin, urlsplit

from agent.core.record import record
from agent.errors import TransferError

PORTS = {"http": 80, "https": 443, "ftp": 21, "ftps": 990, "ftpes": 21, "sftp": 22}
MAX_LENGTH = 4096
_KEPT = "/%:@!$&'()*+,;=~-._"  # stands for itself in a path; the percent sign because it is encoded already


def protocols() -> tuple[str, ...]:
    """What this charger can use, in OCPP's words; SFTP is an extra that need not be installed."""
    return ("HTTPS", "HTTP", *(("SFTP",) if find_spec("asyncssh") else ()), "FTPS", "FTP")


@record
class Location:
    """`path` as it goes over HTTP (with the query), `file_path` as FTP and SFTP want it. Host without brackets."""

    _hidden = ("path", "query", "user", "password")

    scheme: str
    host: str
    port: int
    named_port: bool  # the port stood in the URL
    path: str
    query: str = ""
    user: str = ""
    password: str = ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + (f":{self.port}" if self.named_port else "")

    @property
    def target(self) -> str:
        """The request target of HTTP."""
        return (self.path or "/") + (f"?{self.query}" if self.query else "")

    @property
    def file_path(self) -> str:
        """Decoded, relative to where the login begins; `%2F` or a second slash at its head makes it absolute."""
        return unquote(self.path.removeprefix("/"))

    def url(self) -> str:
        """Without the login."""
        return str(self) + self.target


def parse(text: str) -> Location:
    """TransferError, permanent, when this is no location that we can use."""
    text = text.strip()
    if len(text) > MAX_LENGTH:
        raise TransferError("the location is too long", True)
    try:
        parts = urlsplit(_clean(text))
        port = parts.port
        if "@" in parts.fragment + (parts.query if not parts.path else ""):
            raise ValueError  # a login with a bare "#" or "?": its head would be taken for the host, and shown
        host = unquote(parts.hostname or "")
        host.encode("ascii" if ":" in host else "idna")  # else the look-up of the name would raise it
    except ValueError:
        raise TransferError("the location is no valid URL", True) from None
    scheme = parts.scheme.lower()
    if scheme not in PORTS:
        known = ", ".join(sorted(PORTS))
        raise TransferError(f"the location's scheme is none of {known}", True)
    if not host or port == 0:
        raise TransferError("the location names no host that can be reached", True)
    location = Location(
        scheme,
        host,
        port or PORTS[scheme],
        port is not None,
        quote(parts.path, safe=_KEPT),
        quote(parts.query, safe=_KEPT + "?"),
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )
    _clean(location.host + location.file_path + location.user + location.password)
    return location


def follow(base: Location, address: str) -> Location:
    """Where a redirect of HTTP leads; the login goes along only to the same server."""
    fresh = parse(urljoin(base.url(), _clean(address.strip())))
    if fresh.scheme not in ("http", "https"):
        raise TransferError(f"{base} redirects to another scheme", True)
    if base.scheme == "https" and fresh.scheme != "https":
        raise TransferError(f"{base} redirects to an address without TLS", True)
    if (fresh.scheme, fresh.host, fresh.port) != (base.scheme, base.host, base.port) or fresh.user:
        return fresh
    return Location(
        fresh.scheme, fresh.host, fresh.port, fresh.named_port, fresh.path, fresh.query, base.user, base.password
    )


def within(location: Location, name: str) -> Location:
    """The location as the directory of a file `name`."""
    path = location.path if location.path.endswith("/") else f"{location.path}/"
    return Location(
        location.scheme,
        location.host,
        location.port,
        location.named_port,
        path + quote(name, safe=""),
        location.query,
        location.user,
        location.password,
    )


def _clean(text: str) -> str:
    if any(ord(char) < 32 or ord(char) == 127 for char in text):
        raise TransferError("the location holds control characters", True)
    return text
