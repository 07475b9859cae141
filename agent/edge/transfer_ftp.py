"""Files over FTP and FTPS, by `ftplib`, in the thread of one transfer.

`ftps:` is TLS from the first byte (port 990 by default) or after AUTH TLS (port 21); both are tried, and neither goes
on without TLS. `ftpes:` is AUTH TLS only. Data connections are passive, go to the host of the control connection
whatever it says, are protected with the same TLS session (some servers want that), and resume with REST, if size and
date of the file are the same as before. A location for sending is a directory if the server can change to it, else the
file itself.
"""

from __future__ import annotations

import ftplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from agent.edge.location import Location
from agent.edge.transfer_job import BLOCK, Job, Target, refused
from agent.errors import TransferError

EXPLICIT_PORT = 21
REPLY_LINES = 200
REPLIES = {
    "421": "the service is not available",
    "425": "no data connection can be opened",
    "430": "the login is wrong",
    "450": "the file is busy",
    "452": "the server has no room",
    "500": "the server does not know the command",
    "502": "the server does not know the command",
    "530": "the login is wrong, or not allowed",
    "534": "the server refuses TLS for data",
    "550": "there is no such file, or it may not be used",
    "552": "the server has no room for us",
    "553": "the name of the file is not allowed",
}


class _Ftp(ftplib.FTP):
    def getmultiline(self) -> str:
        """One reply; of a long one the first line, which has all that counts."""
        first = self.getline()
        if first[3:4] != "-":
            return first
        for _ in range(REPLY_LINES):
            if self.getline().startswith(f"{first[:3]} "):
                return first
        raise ftplib.error_proto("a reply without end")  # noqa: S321


class _Ftps(_Ftp, ftplib.FTP_TLS):
    """`implicit`: TLS from the first byte."""

    def __init__(self, context: ssl.SSLContext, implicit: bool) -> None:
        ftplib.FTP_TLS.__init__(self, context=context)  # noqa: S321
        self.implicit = implicit

    def connect(self, host: str = "", port: int = 0, timeout: float = 0, source_address: Any = None) -> str:
        if not self.implicit:
            return super().connect(host, port, timeout)
        self.host, self.port, self.timeout = host, port, timeout
        plain = socket.create_connection((host, port), timeout)
        self.af = plain.family
        try:
            self.sock = self.context.wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()
        return self.welcome

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        conn, size = ftplib.FTP.ntransfercmd(self, cmd, rest)  # noqa: S321  asked for by the CSMS
        assert isinstance(self.sock, ssl.SSLSocket)
        try:
            return self.context.wrap_socket(conn, server_hostname=self.host, session=self.sock.session), size
        except BaseException:
            conn.close()
            raise


def fetch(job: Job, location: Location, path: Path, limit_bytes: int) -> None:
    with Target(job, path, location, limit_bytes) as target, _session(job, location) as ftp:
        ftp.voidcmd("TYPE I")
        size, date = _fact(ftp, f"SIZE {location.file_path}"), _fact(ftp, f"MDTM {location.file_path}")
        total = int(size) if size.isdecimal() else None
        same = total is not None and target.mark.get("size") == total and target.mark.get("date", "") == date
        at = target.have if same and target.have <= (total or 0) else 0
        try:
            conn = ftp.transfercmd(f"RETR {location.file_path}", at or None)
        except ftplib.error_perm:
            if not at:
                raise
            at, conn = 0, ftp.transfercmd(f"RETR {location.file_path}")
        with conn:
            job.watch(conn)
            target.begin(at, total, date=date)
            while data := conn.recv(BLOCK):
                target.write(data)
            _finish(ftp, conn)
        target.done()


def send(job: Job, source: Path, location: Location, name: str) -> None:
    with _session(job, location) as ftp, source.open("rb") as file:
        ftp.voidcmd("TYPE I")
        total, done = source.stat().st_size, 0
        with ftp.transfercmd(f"STOR {_goal(ftp, location.file_path, name)}") as conn:
            job.watch(conn)
            while data := file.read(BLOCK):
                conn.sendall(data)
                done += len(data)
                job.moved(done, total)
            _finish(ftp, conn)


def _goal(ftp: ftplib.FTP, path: str, name: str) -> str:
    if not path:
        return name
    try:
        ftp.voidcmd(f"CWD {path}")
    except ftplib.error_perm:
        if path.endswith("/"):
            raise
        return path
    return name


def _fact(ftp: ftplib.FTP, command: str) -> str:
    """What the server says of a file, "" if it does not know the command."""
    try:
        return ftp.sendcmd(command)[4:].strip()
    except ftplib.Error:
        return ""


def _finish(ftp: ftplib.FTP, conn: socket.socket) -> None:
    """Say that it was all, and hear that all has come. Some servers never answer to the end of TLS."""
    if isinstance(conn, ssl.SSLSocket):
        conn.settimeout(2.0)
        with suppress(OSError, ValueError):
            conn.unwrap()
    conn.close()
    ftp.voidresp()


@contextmanager
def _session(job: Job, location: Location) -> Iterator[ftplib.FTP]:
    """Logged in."""
    try:
        ftp = _connect(job, location)
        try:
            ftp.login(location.user or "anonymous", location.password or ("" if location.user else "charger@"))
            if isinstance(ftp, _Ftps):
                ftp.prot_p()
            yield ftp
            with suppress(OSError, EOFError, ftplib.Error):
                ftp.sock.settimeout(2.0)  # type: ignore[union-attr]
                ftp.quit()
        finally:
            ftp.close()
    except ftplib.Error as error:
        job.check()
        raise _complaint(location, str(error)) from None
    except (OSError, EOFError, ValueError) as error:
        job.check()
        raise refused(location, error if isinstance(error, OSError | EOFError) else EOFError()) from None


def _connect(job: Job, location: Location) -> ftplib.FTP:
    if location.scheme == "ftp":
        return _opened(job, _Ftp(), location, location.port)
    if location.scheme == "ftpes":
        return _opened(job, _Ftps(job.tls(), False), location, location.port)
    try:
        return _opened(job, _Ftps(job.tls(), True), location, location.port)
    except ssl.SSLCertVerificationError:
        raise
    except OSError as error:
        job.check()
        if location.named_port and not isinstance(error, ssl.SSLError):
            raise
    return _opened(job, _Ftps(job.tls(), False), location, location.port if location.named_port else EXPLICIT_PORT)


def _opened(job: Job, ftp: ftplib.FTP, location: Location, port: int) -> ftplib.FTP:
    try:
        ftp.connect(location.host, port, job.connect_s)
        job.watch(ftp.sock)
        if isinstance(ftp, _Ftps) and not ftp.implicit:
            ftp.auth()
            job.watch(ftp.sock)
    except BaseException:
        ftp.close()
        raise
    return ftp


def _complaint(location: Location, reply: str) -> TransferError:
    """The server's words may repeat a login: only its number is shown."""
    code = reply[:3] if reply[:3].isdecimal() else ""
    words = REPLIES.get(code, "the server refused")
    return TransferError(
        f"{location}: {f'FTP {code}: ' if code else ''}{words}", code.startswith("5"), code in ("430", "530", "532")
    )
