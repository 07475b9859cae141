"""What the agent tells its operators: fields, not sentences, and nothing secret.

    log.info("PilotChanged", "a car was plugged in", evse=1, tx="b3-1-7", state="C")

gives MESSAGE="PilotChanged: a car was plugged in EVSE=1 TX=b3-1-7 STATE=C" and journal fields EVENT, EVSE, TX, STATE.

Levels: ERROR our bug or lost data; WARNING degraded and handled; INFO the station's life, quiet enough for years; DEBUG
one line a step. `trouble` warns the first time and whispers after that, `recovered` says once that it is over. Every
line at WARNING or above has the field FAULT: an id of the fault catalogue or of `agent.core.troubles`.
Rules kept:

* Everything passes `redact` before it leaves: passwords, keys, Authorization headers, logins and queries of URLs lose
  all their characters, tokens all but four. Values known to be secret are named to `hide` and never leave.
* Where it goes: to journald with its own fields if it runs, else to stderr with `<N>` priorities under a service
  manager, else to stderr as plain lines.
* A hung journal never hangs the agent: nothing is sent that would have to wait; what was lost is counted and told.
  systemd's Python binding sends without letting go of the interpreter, so that not even a thread of its own would help:
  it is asked only when the journal's socket takes data. Without it the documented datagram protocol is spoken here.
* The last lines are also kept in memory, for a bundle made where no journal is, or where we may not read it.
* The libraries' own logs pass at WARNING and above, few a minute, as their bare wording: arguments may be payloads.
"""

from __future__ import annotations

import logging
import os
import re
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress

DEBUG, INFO, WARNING, ERROR = 7, 6, 4, 3  # syslog's numbers
LEVELS = {"debug": DEBUG, "info": INFO, "warning": WARNING, "error": ERROR}
NAMES = {number: name.upper() for name, number in LEVELS.items()}
IDENTIFIER = "chargepoint"
JOURNAL_SOCKET = "/run/systemd/journal/socket"
FIELDS = frozenset(  # what may become a journal field; any other name stays in the message
    (
        "ACTION",
        "ATTEMPTS",
        "BUS",
        "CONNECTOR",
        "COUNT",
        "CURRENT_A",
        "DEVICE",
        "ENERGY_WH",
        "EVSE",
        "FAULT",
        "KIND",
        "MESSAGE_ID",
        "PID",
        "REASON",
        "SEQ",
        "STATE",
        "STATUS",
        "TOKEN",
        "TX",
        "UID",
        "VARIABLE",
        "WAIT_S",
        "WHY",
    )
)
SECRET_FIELDS = frozenset(("PASSWORD", "KEY", "AUTHORIZATION", "SECRET"))
TOKEN_FIELDS = frozenset(("TOKEN", "ID_TAG", "ID_TOKEN", "GROUP"))
TEXT_LIMIT = 1800  # characters of one line
TROUBLES = 256  # keys remembered by `trouble`
RECENT_BUDGET, RECENT_COST = 128 * 1024, 150  # characters of the last lines, with what keeping one costs
SECRETS = 32  # values remembered by `hide`
LIBRARY_LINES, LIBRARY_PERIOD_S = 5, 60.0  # of each library, per period

# --- redaction ----------------------------------------------------------------------------------------------

_QUOTED = r"""(?:"(?:[^"\\]|\\.)*"?|'[^']*'?)"""
_REDACTIONS: tuple[tuple[tuple[str, ...], str, str | Callable[[re.Match[str]], str]], ...] = (
    # (only if one of these words occurs, pattern, replacement); a pattern is compiled when it is first needed
    (("authorizationkey", "basicauthpassword"), rf"(?i)([\"'](?:attribute)?value[\"']\s*:\s*){_QUOTED}", r'\1"***"'),
    (("://",), r"(?<=://)[^/\s@\"']+@", "***@"),
    (("://",), r"(\w://[^\s\"'?<>]*)\?[^\s\"'<>]+", r"\1?***"),  # an address that somebody has signed is a key
    (("basic ", "bearer "), r"(?i)\b(basic|bearer)\s+[A-Za-z0-9+/=._~-]{4,}", r"\1 ***"),
    (
        ("authorization", "password", "passwd", "secret"),
        rf"(?i)((?:authorization(?:key)?|password|passwd|secret)[\"']?\s*[:=]\s*)(?:{_QUOTED}|[^\s,;}}\]]+)",
        r"\1***",
    ),
    # the number of a card stands in what a meter has signed, also where that is a text within a text
    (("signedmeterdata",), r"(?i)(signedmeterdata[\\\"']+\s*:\s*[\\\"']+)[A-Za-z0-9+/=]+", r"\1***"),
    (
        ("idtag", "idtoken"),
        rf"(?i)([\"'](?:parent)?(?:idtag|idtoken)[\"']\s*:\s*)({_QUOTED})",
        lambda match: f'{match[1]}"{last4(match[2].strip(chr(34) + chr(39)))}"',
    ),
)


def last4(token: str) -> str:
    """A token as it may be shown: never more than four characters, and never most of a short one."""
    shown = min(4, len(token) // 2)
    return "*" + (token[-shown:] if shown else "")


def redact(text: str) -> str:
    """The same text without passwords, keys and whole tokens."""
    lower = text.lower()
    for words, pattern, replacement in _REDACTIONS:
        if any(word in lower for word in words):
            text = re.sub(pattern, replacement, text)
    return text


def _shown(name: str, value: object) -> str:
    if name in SECRET_FIELDS:
        return "***"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    if name not in TOKEN_FIELDS:
        return redact(text)
    return text if len(text) <= 6 and text.startswith("..") else last4(text)  # `shorten` has been here


# --- sinks: each takes (priority, message, fields) and returns False if it would have had to wait -------------

Sink = Callable[[int, str, dict[str, str]], bool]


def _writable(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return any(mask & select.POLLOUT for _, mask in poll.poll(0))


class JournalSink:
    """Raises OSError when no journal listens at `path`."""

    def __init__(self, path: str = JOURNAL_SOCKET) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.connect(path)
            self._socket.setblocking(False)
        except OSError:
            self._socket.close()
            raise
        self._sendv = _binding() if path == JOURNAL_SOCKET else None

    def __call__(self, priority: int, message: str, fields: dict[str, str]) -> bool:
        entry = {"MESSAGE": message, "PRIORITY": str(priority), "SYSLOG_IDENTIFIER": IDENTIFIER, **fields}
        if self._sendv is None:
            return self._send_native(entry)
        try:
            self._socket.connect(self._path)  # again each time, since a restarted journald listens on a new socket
        except OSError:
            return False
        if not _writable(self._socket.fileno()):
            return False
        try:
            self._sendv(*(f"{name}={value}" for name, value in entry.items()))
        except OSError:  # journald went away in this very moment
            return False
        return True

    def close(self) -> None:
        self._socket.close()

    def _send_native(self, entry: dict[str, str]) -> bool:
        """systemd's "Native Journal Protocol": one datagram, a line a field; fields are short and hold no line ends."""
        data = "".join(f"{name}={value}\n" for name, value in entry.items()).encode("utf-8", "replace")
        for _ in range(2):
            try:
                self._socket.send(data)
            except BlockingIOError:
                return False
            except OSError:  # journald was restarted: its new socket is another one
                with suppress(OSError):
                    self._socket.connect(self._path)
                continue
            return True
        return False


def _binding() -> Callable[..., None] | None:
    """systemd-python's sender; only its C part, since the rest of it costs more to load than it gives."""
    try:
        from systemd._journal import sendv
    except ImportError:
        return None
    return sendv  # type: ignore[no-any-return]


def stderr_sink(fd: int = 2, *, prefixed: bool = False) -> Sink:
    """`prefixed`: `<N>` for the service manager, which adds the time itself."""

    def send(priority: int, message: str, fields: dict[str, str]) -> bool:
        if not _writable(fd):
            return False
        head = f"<{priority}>" if prefixed else f"{_utc()} {NAMES[priority]:7} "
        with suppress(OSError):  # nobody is left to be told
            os.write(fd, f"{head}{message}".encode("utf-8", "replace")[: select.PIPE_BUF - 1] + b"\n")
        return True

    return send


def _utc(at: float | None = None) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def told_journal(event: str, message: str) -> bool:
    """An error of what the service manager has started, with its id; False, and nothing is written, where stderr is no
    journal. A shell may have inherited the variable: hence the comparison."""
    try:
        at = os.fstat(2)
    except OSError:
        return False
    if os.environ.get("JOURNAL_STREAM") != f"{at.st_dev}:{at.st_ino}":
        return False
    Log().error(event, message)
    return True


def best_sink(journal: str = JOURNAL_SOCKET) -> Sink:
    """The journal if this process writes to it, prefixed lines under another service manager, else plain lines."""
    if "JOURNAL_STREAM" in os.environ:  # set by systemd when stderr goes to the journal
        try:
            return JournalSink(journal)
        except OSError:
            return stderr_sink(prefixed=True)
    return stderr_sink(prefixed="INVOCATION_ID" in os.environ)


# --- the log ------------------------------------------------------------------------------------------------


class Log:
    """Cheap where it is silent: below its level a call costs one comparison."""

    def __init__(self, sink: Sink | None = None, level: int = INFO) -> None:
        self.level = level
        self._sink = sink or best_sink()
        self._secrets: list[str] = []
        self._troubles: dict[str, int] = {}
        self._recent: deque[tuple[float, str]] = deque()
        self._recent_size = 0
        self.lost = 0  # lines since the last one that got through

    def debug(self, event: str, message: str = "", /, **fields: object) -> None:
        if self.level >= DEBUG:
            self.write(DEBUG, event, message, fields)

    def info(self, event: str, message: str = "", /, **fields: object) -> None:
        if self.level >= INFO:
            self.write(INFO, event, message, fields)

    def warning(self, event: str, message: str = "", /, **fields: object) -> None:
        if self.level >= WARNING:
            self.write(WARNING, event, message, fields)

    def error(self, event: str, message: str = "", /, **fields: object) -> None:
        self.write(ERROR, event, message, fields)

    def trouble(self, key: str, event: str, message: str = "", /, **fields: object) -> None:
        """WARNING the first time under this key, DEBUG until `recovered`."""
        times = self._troubles.pop(key, 0) + 1
        if len(self._troubles) >= TROUBLES:
            del self._troubles[next(iter(self._troubles))]
        self._troubles[key] = times
        (self.warning if times == 1 else self.debug)(event, message, **fields)

    def recovered(self, key: str, event: str, message: str = "", /, **fields: object) -> None:
        """INFO if there was trouble under this key, else nothing."""
        times = self._troubles.pop(key, 0)
        if times:
            self.info(event, message, **fields, count=times)

    def hide(self, secret: str) -> None:
        """This value never leaves, wherever it occurs. Short ones would hide half of every line: they are left out."""
        if len(secret) >= 6 and secret not in self._secrets:
            self._secrets = [*self._secrets[-SECRETS + 1 :], secret]

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values that never leave."""
        return tuple(self._secrets)

    def recent(self, oldest: float | None = None, latest: float | None = None) -> list[str]:
        """The last lines of this process between two moments of the system's clock (UTC epoch seconds)."""
        first, last = oldest if oldest is not None else 0.0, latest if latest is not None else float("inf")
        return [f"{_utc(at)} {text}" for at, text in list(self._recent) if first <= at <= last]

    def since(self, after: float) -> list[tuple[float, str]]:
        """The last lines of this process from after a moment of the system's clock on, each with its moment."""
        return [(at, text) for at, text in list(self._recent) if at > after]

    def _keep(self, line: str) -> None:
        self._recent.append((time.time(), line))
        self._recent_size += len(line) + RECENT_COST
        while self._recent_size > RECENT_BUDGET:
            self._recent_size -= len(self._recent.popleft()[1]) + RECENT_COST

    def write(self, priority: int, event: str, message: str, fields: dict[str, object]) -> None:
        if priority <= WARNING and not any(name.upper() == "FAULT" for name in fields):
            fields = {**fields, "fault": _id_of(event)}
        shown = {name: self._clean(_shown(name, value)) for name, value in _named(fields)}
        text = " ".join((event + (f": {self._clean(redact(message))}" if message else ""), *_pairs(shown.items())))
        journal = {"EVENT": event, **{name: value for name, value in shown.items() if name in FIELDS}}
        self._leave(priority, text[:TEXT_LIMIT], journal)

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text[:TEXT_LIMIT] if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)

    def _leave(self, priority: int, text: str, fields: dict[str, str]) -> None:
        self._keep(f"{NAMES[priority]:7} {text}")
        lost = {"EVENT": "LogLost", "FAULT": _id_of("LogLost")}
        if self.lost and self._sink(WARNING, f"LogLost COUNT={self.lost} FAULT={lost['FAULT']}", lost):
            self.lost = 0
        if not self._sink(priority, text, fields):
            self.lost += 1


def _id_of(event: str) -> str:
    """Loaded with the first warning: most processes live long before it."""
    from agent.core.troubles import id_of

    return id_of(event)


def _named(fields: dict[str, object]) -> Iterable[tuple[str, object]]:
    return ((name.upper(), value) for name, value in fields.items() if value is not None)


def _pairs(fields: Iterable[tuple[str, str]]) -> Iterable[str]:
    return (f'{name}="{value}"' if " " in value else f"{name}={value}" for name, value in fields)


# --- the logs of the libraries ------------------------------------------------------------------------------

LIBRARIES = ("websockets", "pymodbus", "asyncio")
_HEX_RUN = r"(?:\b(?:0x)?[0-9A-Fa-f]{1,2}\b[\s,]*){4,}"


class _Bridge(logging.Handler):
    """Repeats what a library says at WARNING and above: its wording without arguments, and the kind of an exception."""

    def __init__(self, log: Log, mono: Callable[[], float]) -> None:
        super().__init__(logging.WARNING)
        self._log = log
        self._mono = mono
        self._count: dict[str, tuple[float, int]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        library = record.name.partition(".")[0]
        since, count = self._count.get(library, (float("-inf"), 0))
        now = self._mono()
        if now - since >= LIBRARY_PERIOD_S:
            since, count = now, 0
        self._count[library] = since, count + 1
        if count < LIBRARY_LINES:
            priority = ERROR if record.levelno >= logging.ERROR else WARNING
            self._log.write(priority, "Library", _wording(record), {"device": library})


def _wording(record: logging.LogRecord) -> str:
    text = re.sub(_HEX_RUN, "... ", str(record.msg).partition("\n")[0])[:120]
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return text
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" at {trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace else ""
    return f"{text} ({type(error).__name__}{where})"


def hook_libraries(log: Log, mono: Callable[[], float] = time.monotonic) -> None:
    """Send the libraries' warnings through `log`, and nowhere else."""
    for name in LIBRARIES:
        logger = logging.getLogger(name)
        logger.handlers = [_Bridge(log, mono)]
        logger.propagate = False
        logger.setLevel(logging.WARNING)
