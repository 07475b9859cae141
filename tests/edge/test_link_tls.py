"""TLS with real certificates: what is accepted, and in which words the rest is refused."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.edge.link import Connected, Received
from agent.edge.reasons import WhyKind
from agent.edge.tls import TrustStore, client_context
from agent.errors import LinkError
from tests.edge.link_helpers import csms, echo, idle, linked, raw


@dataclass(frozen=True)
class Pki:
    """A CA and server certificates, each as `NAME.pem` with `NAME.key`."""

    folder: Path

    def file(self, name: str) -> str:
        return str(self.folder / name)

    def openssl(self, *args: str) -> None:
        subprocess.run(["openssl", *args], cwd=self.folder, check=True, capture_output=True, timeout=60)

    def authority(self, name: str) -> None:
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key"]
        self.openssl("req", "-x509", *key, "-subj", f"/CN={name}", "-days", "30", "-out", f"{name}.pem")

    def server(self, name: str, host: str, *dates: str, key: tuple[str, ...]) -> None:
        self.openssl("req", "-new", *key, "-nodes", "-subj", f"/CN={host}", "-keyout", f"{name}.key", "-out", "csr")
        (self.folder / "ext").write_text(f"subjectAltName={'IP' if host[0].isdigit() else 'DNS'}:{host}\n")
        (self.folder / "index").write_text("")
        signing = ["-batch", "-notext", "-rand_serial", "-config", "conf", "-extfile", "ext", *dates]
        self.openssl("ca", *signing, "-in", "csr", "-out", f"{name}.pem")

    def context(self, name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file(f"{name}.pem"), self.file(f"{name}.key"))
        return context


EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
RSA = ("-newkey", "rsa:2048")
CONF = """[ca]
default_ca = here
[here]
new_certs_dir = .
database = index
certificate = ca.pem
private_key = ca.key
default_md = sha256
default_days = 30
policy = any
serial = serial
rand_serial = yes
unique_subject = no
[any]
commonName = supplied
"""


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    made = Pki(tmp_path_factory.mktemp("pki"))
    (made.folder / "conf").write_text(CONF)
    made.authority("ca")
    made.authority("stranger")
    made.server("good", "127.0.0.1", key=EC)
    made.server("rsa", "127.0.0.1", key=RSA)
    made.server("other-host", "csms.example", key=EC)
    made.server("expired", "127.0.0.1", "-startdate", "20200101000000Z", "-enddate", "20200201000000Z", key=EC)
    made.server("future", "127.0.0.1", "-startdate", "20900101000000Z", "-enddate", "20910101000000Z", key=EC)
    return made


@pytest.mark.parametrize("name", ["good", "rsa"])
async def test_a_server_of_our_ca_is_accepted(pki: Pki, name: str) -> None:
    async with csms(idle, ssl=pki.context(name)) as url, linked(url, ca_file=pki.file("ca.pem")) as bench:
        assert await bench.up() == Connected("ocpp2.0.1")


async def test_short_and_long_texts_go_both_ways_over_tls(pki: Pki) -> None:
    texts = ["[3]", "x" * 4090, "y" * 100_000, "ä" * 200, *map(str, range(30))]
    async with csms(echo, ssl=pki.context("good")) as url, linked(url, ca_file=pki.file("ca.pem")) as bench:
        await bench.up()
        for text in texts:
            assert await bench.link.send(text)
        await bench.until(lambda: Received(texts[-1]) in bench.events)
        assert [event.text for event in bench.events if isinstance(event, Received)] == texts


@pytest.mark.parametrize(
    ("name", "ca", "words"),
    [
        ("good", "stranger.pem", "signed by an authority that is not in our trust store"),
        ("expired", "ca.pem", "the certificate has expired (or this charger's clock is wrong)"),
        ("future", "ca.pem", "not valid yet: is this charger's clock right?"),
        ("other-host", "ca.pem", "belongs to another IP address"),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_wrong_certificate_is_refused_in_words(pki: Pki, name: str, ca: str, words: str) -> None:
    async with csms(idle, ssl=pki.context(name)) as url, linked(url, ca_file=pki.file(ca)) as bench:
        loss = await bench.loss()
        assert loss.why.kind is WhyKind.TLS
        assert words in loss.why.text


async def test_a_wrong_host_name_is_refused_in_words(pki: Pki) -> None:
    async with csms(idle, ssl=pki.context("good")) as url:
        named = url.replace("127.0.0.1", "localhost")
        async with linked(named, ca_file=pki.file("ca.pem")) as bench:
            assert "belongs to another host name" in (await bench.loss()).why.text


async def test_a_certificate_is_not_trusted_for_being_configured_nowhere(pki: Pki) -> None:
    async with csms(idle, ssl=pki.context("good")) as url, linked(url) as bench:
        assert (await bench.loss()).why.kind is WhyKind.TLS


async def test_a_server_without_tls_is_named_as_such(pki: Pki) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with raw(plain) as url, linked(url.replace("ws:", "wss:"), ca_file=pki.file("ca.pem")) as bench:
        loss = await bench.loss()
        assert loss.why.kind is WhyKind.TLS
        assert "does not speak TLS on this port" in loss.why.text


async def test_a_server_with_old_tls_only_is_refused(pki: Pki) -> None:
    context = pki.context("good")
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with csms(idle, ssl=context) as url, linked(url, ca_file=pki.file("ca.pem")) as bench:
        loss = await bench.loss()
        assert loss.why.kind is WhyKind.TLS
        assert "TLS version" in loss.why.text


async def test_a_ca_file_that_is_missing_is_named(tmp_path: Path) -> None:
    async with linked("wss://127.0.0.1:1", ca_file=str(tmp_path / "none.pem")) as bench:
        loss = await bench.loss()
        assert loss.why.kind is WhyKind.CONFIG
        assert "none.pem cannot be read: No such file" in loss.why.text


def test_a_ca_file_without_a_certificate_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing here")
    with pytest.raises(LinkError, match="holds no certificate"):
        client_context(str(tmp_path / "ca.pem"))


def test_the_context_asks_for_tls_1_2_and_checks_the_host(pki: Pki) -> None:
    context = client_context(pki.file("ca.pem"))
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_the_cipher_suites_that_ocpp_names_are_offered(pki: Pki) -> None:
    offered = {cipher["name"] for cipher in client_context(pki.file("ca.pem")).get_ciphers()}
    assert offered >= {
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
    }


def test_one_context_serves_until_its_file_changes(pki: Pki, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(Path(pki.file("ca.pem")).read_bytes())
    store = TrustStore()
    first = store.context(str(ca))
    assert store.context(str(ca)) is first
    (tmp_path / "new.pem").write_bytes(Path(pki.file("stranger.pem")).read_bytes())
    (tmp_path / "new.pem").replace(ca)
    assert store.context(str(ca)) is not first
