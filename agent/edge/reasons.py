"""Why there is no link, in words for the person who stands in front of the charger.

`explain` turns whatever a dial raises, and `closed` whatever ended a connection, into one `LinkWhy`. Rules kept: tables
before branches; no URL, header or payload is repeated (they may hold secrets); what the server said is cut to a few
printable characters. The WebSocket library's exceptions are known by name, so that it need not be loaded for them.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
from enum import StrEnum
from typing import Any

from agent.core.record import record
from agent.edge import tls
from agent.edge.dial import retry_after_s
from agent.errors import LinkError

SERVER_WORDS = 80  # characters of the server's own text that are repeated


class WhyKind(StrEnum):
    CONFIG = "config"  # address, identity or CA file cannot be used
    DNS = "dns"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    TLS = "tls"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not-found"
    TOO_MANY = "too-many"
    SERVER_ERROR = "server-error"
    HTTP = "http"
    NOT_WEBSOCKET = "not-websocket"
    SUBPROTOCOL = "subprotocol"
    CLOSED = "closed"  # the server closed, with a code
    LOST = "lost"  # the connection broke without a word
    PING = "ping"
    SEND = "send"
    TOO_BIG = "too-big"
    CONSUMER = "consumer"
    DROPPED = "dropped"  # we closed it, on order
    REDIAL = "redial"
    STOPPED = "stopped"
    OTHER = "other"


@record
class LinkWhy:
    kind: WhyKind
    text: str
    retry_after_s: float = 0.0  # what the server asked for

    def __str__(self) -> str:
        return self.text


HTTP_WORDS = {
    400: (WhyKind.HTTP, "the server refused the handshake (HTTP 400): often the identity or the OCPP version"),
    401: (WhyKind.UNAUTHORIZED, "the server refused user or password (HTTP 401)"),
    403: (WhyKind.FORBIDDEN, "the server does not let this charge point in (HTTP 403)"),
    404: (WhyKind.NOT_FOUND, "the server knows no such path or charge point (HTTP 404)"),
    426: (WhyKind.HTTP, "the server wants another protocol (HTTP 426)"),
    429: (WhyKind.TOO_MANY, "the server has too many requests (HTTP 429)"),
}

ERRNO_WORDS = {
    errno.ECONNREFUSED: (WhyKind.REFUSED, "nobody listens there (connection refused)"),
    errno.EHOSTUNREACH: (WhyKind.UNREACHABLE, "no way to the host"),
    errno.ENETUNREACH: (WhyKind.UNREACHABLE, "no way to the network: is there a cable, WiFi or modem?"),
    errno.ENETDOWN: (WhyKind.UNREACHABLE, "the network is down"),
    errno.EADDRNOTAVAIL: (WhyKind.UNREACHABLE, "this charger has no address of that kind"),
    errno.ETIMEDOUT: (WhyKind.TIMEOUT, "the host did not answer (TCP timed out)"),
    errno.ECONNRESET: (WhyKind.LOST, "the server or something between cut the connection (reset)"),
    errno.EPIPE: (WhyKind.LOST, "the server or something between cut the connection (broken pipe)"),
    errno.EMFILE: (WhyKind.OTHER, "this process has too many files open"),
}

REMEDIES = {  # where somebody on the spot can do something
    WhyKind.CONFIG: "chargepoint check-config says what is wrong in [csms]",
    WhyKind.DNS: "is the name in [csms] url right, and does this charger have a DNS server?",
    WhyKind.REFUSED: "is the port in [csms] url right, and does the central system run?",
    WhyKind.UNREACHABLE: "check cable, WiFi or modem, and the router",
    WhyKind.TIMEOUT: "check the network, and whether a firewall stands in the way",
    WhyKind.TLS: "check the clock, the certificates (Trust, below) and [csms] ca_file",
    WhyKind.UNAUTHORIZED: "compare identity and password with what the operator of the central system has",
    WhyKind.FORBIDDEN: "ask the operator whether the central system knows this identity",
    WhyKind.NOT_FOUND: "compare [csms] url and identity with what the operator of the central system has",
    WhyKind.HTTP: "compare [csms] url, identity and versions with what the operator of the central system has",
    WhyKind.SUBPROTOCOL: "compare [csms] versions with what the central system speaks",
    WhyKind.NOT_WEBSOCKET: "is [csms] url that of the central system's OCPP endpoint?",
    WhyKind.TOO_MANY: "wait; tell the operator of the central system if it lasts",
    WhyKind.SERVER_ERROR: "wait; tell the operator of the central system if it lasts",
}

CLOSE_WORDS = {
    1000: "the server closed the connection (1000, normal)",
    1001: "the server is going away (1001)",
    1002: "the server saw a breach of the WebSocket protocol (1002)",
    1003: "the server cannot use this kind of data (1003)",
    1007: "the server could not decode our data (1007)",
    1008: "the server closed by its policy (1008): often it does not know this identity",
    1009: "the server found a frame of ours too big (1009)",
    1011: "the server failed inside (1011)",
    1012: "the server is restarting (1012)",
    1013: "the server asks to come again later (1013)",
}

NOT_WEBSOCKET = LinkWhy(WhyKind.NOT_WEBSOCKET, "what answers there is not a WebSocket server")
CUT_IN_TLS = LinkWhy(  # asyncio's only ConnectionError without a number
    WhyKind.TLS, "the server cut the connection while TLS was set up: often no TLS version or cipher is in common"
)
NO_ANSWER = LinkWhy(WhyKind.LOST, "the server closed the connection before it answered the handshake")


def explain(
    error: BaseException,
    *,
    host: str = "",
    reached: bool = False,
    open_timeout_s: float = 0.0,
    late: BaseException | None = None,
) -> LinkWhy:
    """Why a dial failed. `reached`: TCP stood when it did. `late`: what ended the connection; in TLS 1.3 a server may
    refuse our certificate when the handshake has long succeeded."""
    for cause in [*_chain(error), *([late] if isinstance(late, ssl.SSLError) else [])]:
        for known, words in EXPLAINERS:
            if isinstance(cause, known) and (why := words(cause, host)) is not None:
                return why
    if isinstance(error, TimeoutError):
        place = "was reached but did not answer the handshake" if reached else "did not answer at all"
        return LinkWhy(WhyKind.TIMEOUT, f"{host or 'the server'} {place} within {open_timeout_s:g} s")
    return _handshake(error)


def _chain(error: BaseException) -> list[BaseException]:
    """The error and what it came from; bounded, as causes may in theory form a ring."""
    chain = [error]
    while (cause := chain[-1].__cause__) is not None and len(chain) < 6:
        chain.append(cause)
    return chain


def _config(error: Any, _host: str) -> LinkWhy | None:
    return LinkWhy(WhyKind.CONFIG, str(error))


def _tls(error: Any, _host: str) -> LinkWhy | None:
    return LinkWhy(WhyKind.TLS, tls.explain(error))


def _dns(error: Any, host: str) -> LinkWhy | None:
    temporary = error.errno == socket.EAI_AGAIN
    text = f"the name {host} could not be looked up" + (": no answer from the DNS server" if temporary else "")
    return LinkWhy(WhyKind.DNS, text)


def _os(error: Any, host: str) -> LinkWhy | None:
    """Several addresses tried give one error without a number whose text lists the numbers of all."""
    if isinstance(error, TimeoutError) and error.errno is None:
        return None
    number = error.errno
    if number is None and isinstance(error, ConnectionError):
        return CUT_IN_TLS
    if number is None and (match := re.search(r"\[Errno (\d+)\]", str(error))):
        number = int(match[1])
    kind, words = ERRNO_WORDS.get(number or 0, (WhyKind.OTHER, error.strerror or type(error).__name__))
    return LinkWhy(kind, f"{host}: {words}" if host else words)


EXPLAINERS = (
    (LinkError, _config),
    (ssl.SSLError, _tls),  # a kind of OSError, so before it
    (socket.gaierror, _dns),
    (OSError, _os),
)


def _handshake(error: BaseException) -> LinkWhy:
    """What the WebSocket library raises when the handshake goes wrong."""
    names = {base.__name__ for base in type(error).__mro__}
    if "InvalidStatus" in names:
        return _status(error)
    if "NegotiationError" in names:
        return LinkWhy(WhyKind.SUBPROTOCOL, "the server chose a subprotocol or extension that we did not offer")
    if "InvalidMessage" in names:
        silent = any(isinstance(cause, EOFError) for cause in _chain(error))
        return NO_ANSWER if silent else NOT_WEBSOCKET
    if names & {"InvalidUpgrade", "InvalidHeader", "SecurityError"}:
        return NOT_WEBSOCKET
    if names & {"InvalidURI", "ValueError"}:
        return LinkWhy(WhyKind.CONFIG, "the CSMS URL cannot be dialled")
    if names & {"ConnectionClosed", "EOFError"}:
        return NO_ANSWER
    return LinkWhy(WhyKind.OTHER, f"the dial failed: {type(error).__name__}")


def _status(error: Any) -> LinkWhy:
    status = int(error.response.status_code)
    headers = error.response.headers
    asked_s = retry_after_s(_one(headers, "Retry-After"), _one(headers, "Date"))
    if status in HTTP_WORDS:
        kind, text = HTTP_WORDS[status]
    elif status >= 500:
        kind, text = WhyKind.SERVER_ERROR, f"the server is in trouble (HTTP {status})"
    else:
        kind, text = WhyKind.HTTP, f"no WebSocket service at this path (HTTP {status})"
    said = _printable(error.response.body)
    text += f'; it says "{said}"' if said else ""
    return LinkWhy(kind, text + (f"; it asks to wait {asked_s:g} s" if asked_s else ""), asked_s)


def _one(headers: Any, name: str) -> str | None:
    values = headers.get_all(name)
    return values[0] if values else None


def _printable(body: bytes | None) -> str:
    """A short plain text; a web page says nothing to a technician."""
    text = (body or b"")[:400].decode("utf-8", "replace").strip()
    if not text or text.startswith(("<", "{", "[")) or not text.replace("\n", " ").isprintable():
        return ""
    return " ".join(text.split())[:SERVER_WORDS]


def closed(error: Any) -> LinkWhy:
    """Why a standing connection ended; `error` is the library's ConnectionClosed."""
    for cause in _chain(error)[1:]:
        if isinstance(cause, ssl.SSLError):
            return LinkWhy(WhyKind.TLS, tls.explain(cause))
        if isinstance(cause, OSError) and cause.errno in ERRNO_WORDS:
            return LinkWhy(*ERRNO_WORDS[cause.errno])
    sent, received = error.sent, error.rcvd
    if sent is not None and not error.rcvd_then_sent and sent.code == 1009:
        return LinkWhy(WhyKind.TOO_BIG, "the server sent a frame far beyond our limit")
    if sent is not None and not error.rcvd_then_sent and sent.code != 1000:
        return LinkWhy(WhyKind.CLOSED, f"the server broke the WebSocket protocol; we closed ({sent.code})")
    if received is None:
        return LinkWhy(WhyKind.LOST, "the connection broke without a closing word")
    text = CLOSE_WORDS.get(received.code, f"the server closed the connection ({received.code})")
    said = _printable(received.reason.encode())
    return LinkWhy(WhyKind.CLOSED, text + (f'; it says "{said}"' if said else ""))
