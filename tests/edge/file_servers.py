"""Real file servers on loopback: HTTP(S) that misbehaves as told, FTP(S), SFTP; and a small PKI."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import ipaddress
import socketserver
import ssl
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

DEADLINE_S = 10.0


class Handler(BaseHTTPRequestHandler):
    """Serves `server.files`; what it does apart from that is in `server.hooks`, by path."""

    protocol_version = "HTTP/1.1"
    server: Files

    def log_message(self, *_args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.server.requests.append((self.command, self.path, dict(self.headers)))
        hook = self.server.hooks.get(self.path.partition("?")[0])
        data = self.server.files.get(self.path.partition("?")[0])
        if hook is not None:
            hook(self)
        elif data is not None:
            self.serve(data)
        else:
            self.say(404)

    def do_PUT(self) -> None:
        self.server.requests.append((self.command, self.path, dict(self.headers)))
        hook = self.server.hooks.get(f"{self.command} {self.path}") or self.server.hooks.get(self.command)
        if hook is not None:
            hook(self)
        else:
            self.server.files[self.path] = self.body()
            self.say(201)

    do_POST = do_PUT

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def say(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def serve(self, data: bytes, *, ranges: bool = True, etag: bool = True, cut: int | None = None) -> None:
        tag = '"' + hashlib.sha256(data).hexdigest()[:8] + '"'
        wanted = self.headers.get("Range", "")
        begin = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and ranges else 0
        if self.headers.get("If-Range", tag) != tag:
            begin = 0
        if begin >= len(data) > 0:
            self.say(416, Content_Range=f"bytes */{len(data)}")
            return
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        if etag:
            self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(data) - begin))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(data[begin : begin + cut if cut else None])
        self.close_connection = True


class Files(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.hooks: dict[str, Callable[[Handler], None]] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.released = threading.Event()  # lets those go on that stall
        self.context = context

    def handle_error(self, *_args: Any) -> None:
        pass  # a client that went away is what some tests want

    def get_request(self) -> Any:
        sock, address = super().get_request()
        if self.context is not None:
            sock = self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        return sock, address

    @property
    def url(self) -> str:
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.server_address[1]}"


@contextmanager
def http_files(context: ssl.SSLContext | None = None) -> Iterator[Files]:
    server = Files(context)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join(DEADLINE_S)


# --- FTP ----------------------------------------------------------------------------------------------------

LOGIN = ("box", "s3cret word")


@contextmanager
def ftp_files(home: Path, *, tls: str = "", pem: Path | None = None) -> Iterator[int]:
    """pyftpdlib in a thread; `tls`: "", "explicit" or "implicit". Yields the port."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its asyncore
        from pyftpdlib.authorizers import DummyAuthorizer
        from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
        from pyftpdlib.ioloop import IOLoop
        from pyftpdlib.servers import FTPServer

    users = DummyAuthorizer()
    users.add_user(*LOGIN, str(home), perm="elradfmw")

    class Plain(FTPHandler):  # type: ignore[misc]
        authorizer = users
        auth_failed_timeout = 0

    class Tls(TLS_FTPHandler):  # type: ignore[misc]
        authorizer = users
        auth_failed_timeout = 0
        certfile = str(pem)
        tls_control_required = True
        tls_data_required = True

    class Implicit(Tls):
        def handle(self) -> None:
            self.secure_connection(self.get_ssl_context())

        def handle_ssl_established(self) -> None:
            FTPHandler.handle(self)

    loop = IOLoop()
    server = FTPServer(("127.0.0.1", 0), {"": Plain, "explicit": Tls, "implicit": Implicit}[tls], ioloop=loop)
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            loop.loop(timeout=0.02, blocking=False)
            stop.wait(0.001)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield server.address[1]
    finally:
        stop.set()
        thread.join(DEADLINE_S)
        server.close_all()


# --- SFTP ---------------------------------------------------------------------------------------------------


@asynccontextmanager
async def sftp_files(home: Path, *, key: Any = None) -> AsyncIterator[int]:
    import asyncssh

    class Server(asyncssh.SSHServer):
        def begin_auth(self, _username: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == LOGIN

    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=Server,
        server_host_keys=[key or asyncssh.generate_private_key("ssh-ed25519")],
        sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(home).encode()),
    )
    try:
        yield server.get_port()
    finally:
        server.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(DEADLINE_S):
                await server.wait_closed()


# --- anything else that listens -----------------------------------------------------------------------------


@contextmanager
def raw_server(talk: Callable[[Any], object]) -> Iterator[int]:
    """`talk` gets the socket of each client, in a thread."""

    class Client(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                talk(self.request)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Client)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(DEADLINE_S)


def transfer_ended() -> bool:
    """The thread of the transfer is gone, at the latest in a moment."""
    end = time.monotonic() + DEADLINE_S
    while any(thread.name == "transfer" for thread in threading.enumerate()):
        if time.monotonic() > end:
            return False
        threading.Event().wait(0.005)
    return True


# --- certificates -------------------------------------------------------------------------------------------


class Pki:
    """A CA and a server certificate for 127.0.0.1, and one for another host, all files in `folder`."""

    def __init__(self, folder: Path) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        self.folder = folder
        self._x509, self._hash, self._serialization, self._ec = x509, hashes, serialization, ec
        self._ca_key = ec.generate_private_key(ec.SECP256R1())
        self._ca = self._certificate("Test CA", self._ca_key, None, None)
        self.ca_file = str(folder / "ca.pem")
        (folder / "ca.pem").write_bytes(self._ca.public_bytes(serialization.Encoding.PEM))
        self.good = self._server("good", x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        self.stranger = self._server("stranger", x509.DNSName("files.example"))

    def context(self, pem: Path) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        return context

    def _server(self, name: str, who: Any) -> Path:
        key = self._ec.generate_private_key(self._ec.SECP256R1())
        certificate = self._certificate(name, key, self._ca, who)
        pem = self.folder / f"{name}.pem"
        private = key.private_bytes(
            self._serialization.Encoding.PEM,
            self._serialization.PrivateFormat.PKCS8,
            self._serialization.NoEncryption(),
        )
        pem.write_bytes(private + certificate.public_bytes(self._serialization.Encoding.PEM))
        return pem

    def _certificate(self, name: str, key: Any, issuer: Any, who: Any) -> Any:
        x509 = self._x509
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        )
        if who is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName([who]), critical=False)
        return builder.sign(self._ca_key, self._hash.SHA256())
