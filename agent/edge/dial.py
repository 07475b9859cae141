"""How one connection is asked for: where, as whom, how often. Pure; `agent.edge.link` does the dialling.

* The address is `url` + "/" + the percent-encoded identity (OCPP-J 1.6 and OCPP 2.0.1 part 4, section 3.1.1). A query
  stays behind it, a trailing slash is not doubled; a backend that wants something else is served by `{identity}`
  anywhere in path or query.
* HTTP Basic authentication: the user is the identity unless said otherwise, the password text or raw bytes (1.6
  AuthorizationKey).
* Back-off: OCPP 2.0.1 part 4 section 5.3, with an upper bound of ours, since its variables have none.
"""

from __future__ import annotations

import binascii
import time
from collections.abc import Callable
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from agent.core.record import record
from agent.errors import LinkError

PORTS = {"ws": 80, "wss": 443}
WAIT_LIMIT_S = 3600.0  # no wait between two dials is ever longer, whatever is configured or asked for


@record
class LinkSettings:
    """All that a dial needs to know. Read anew at each dial, so a change needs no restart."""

    _hidden = ("url", "password")

    url: str  # may hold a password
    identity: str
    subprotocols: tuple[str, ...] = ("ocpp2.0.1", "ocpp1.6")  # in order of preference; the server's choice is obeyed
    accept_without_subprotocol: bool = False  # take a server that names none for one that speaks our first
    user: str | None = None  # None: the identity
    password: str | bytes | None = None  # None: no authentication
    ca_file: str | None = None  # None: the operating system's trust store
    more_ca_file: str | None = None  # vouches as well
    system_roots: bool = True  # False: with `more_ca_file` alone the system's trust store does not count
    client: tuple[str, str] | None = None  # files of the chain and the key that we show
    frame_limit: int = (
        512 * 1024
    )  # bytes; a longer frame is told by its head only, one four times longer closes the link
    open_timeout_s: float = 10.0  # name lookup, TCP, TLS and WebSocket handshake together
    send_timeout_s: float = 15.0
    close_timeout_s: float = 1.0
    ping_interval_s: float = 30.0  # 0: no pings
    ping_timeout_s: float = 20.0
    wait_floor_s: float = 1.0  # no redial is quicker, even if the two below are set to 0
    wait_minimum_s: float = 10.0  # RetryBackOffWaitMinimum
    random_range_s: float = 10.0  # RetryBackOffRandomRange
    repeat_times: int = 5  # RetryBackOffRepeatTimes: how often the wait doubles
    settled_s: float = 300.0  # a link that stood this long counts as good even if nobody confirmed it


class BackOff:
    """How long to wait before the next dial; every wait has its own random part."""

    def __init__(self) -> None:
        self.failures = 0

    def reset(self) -> None:
        self.failures = 0

    def next(self, settings: LinkSettings, rng: Callable[[], float], at_least_s: float = 0.0) -> float:
        """Seconds to wait; `rng` draws from [0, 1)."""
        doublings = min(self.failures, max(0, settings.repeat_times), 16)
        self.failures = doublings + 1
        fixed_s: float = max(settings.wait_floor_s, settings.wait_minimum_s * 2**doublings, at_least_s)
        return min(fixed_s, WAIT_LIMIT_S) + rng() * min(settings.random_range_s, WAIT_LIMIT_S)


@record
class Target:
    """Where to dial. `shown` is fit for logs."""

    _hidden = ("authorization",)

    url: str
    secure: bool
    host: str
    port: int
    authorization: str | None = None

    @property
    def shown(self) -> str:
        return f"{self.host}:{self.port}"


def target(settings: LinkSettings) -> Target:
    """Raises LinkError in plain words when the URL cannot be dialled."""
    try:
        parts = urlsplit(settings.url)
        port = parts.port
    except ValueError:
        raise LinkError("the CSMS URL is not well formed (host or port)") from None
    if parts.scheme not in PORTS:
        raise LinkError("the CSMS URL must begin with ws:// or wss://")
    if not parts.hostname:
        raise LinkError("the CSMS URL names no host")
    if not settings.identity:
        raise LinkError("the charge point has no identity")
    netloc = parts.netloc.rpartition("@")[2]
    path, query = _place(parts.path, parts.query, quote(settings.identity, safe=""))
    url = urlunsplit((parts.scheme, netloc, path, query, ""))
    return Target(
        url,
        parts.scheme == "wss",
        parts.hostname,
        port or PORTS[parts.scheme],
        _authorization(settings, parts.username, parts.password),
    )


def _place(path: str, query: str, identity: str) -> tuple[str, str]:
    """Put the identity where the URL has a place for it, else behind the path."""
    mark = "{identity}"
    if mark in path or mark in query:
        return path.replace(mark, identity), query.replace(mark, identity)
    return f"{path.rstrip('/')}/{identity}", query


def _authorization(settings: LinkSettings, url_user: str | None, url_password: str | None) -> str | None:
    password = settings.password
    if password is None and url_password is not None:
        password = unquote(url_password)
    if password is None:
        return None
    user = settings.user if settings.user is not None else unquote(url_user) if url_user else settings.identity
    secret = password.encode() if isinstance(password, str) else password
    return "Basic " + binascii.b2a_base64(user.encode() + b":" + secret, newline=False).decode()


def retry_after_s(value: str | None, date: str | None) -> float:
    """What a Retry-After header asks for, seconds from now, between 0 and `WAIT_LIMIT_S`; 0 if it makes no sense.

    A date is compared with the server's own Date header, because our clock may not know the time."""
    if value is None:
        return 0.0
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), WAIT_LIMIT_S)
    try:
        wait = _http_date(text) - _http_date(date or "")
    except ValueError:
        return 0.0
    return max(0.0, min(wait, WAIT_LIMIT_S))


def _http_date(text: str) -> float:
    """IMF-fixdate of RFC 9110 section 5.6.7, as UTC epoch seconds."""
    from calendar import timegm  # strptime loads it anyway; neither is wanted before a server sends such a date

    return float(timegm(time.strptime(text.strip(), "%a, %d %b %Y %H:%M:%S GMT")))
