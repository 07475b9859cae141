"""Signatures over firmware, with real keys and certificates."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from ssl import DER_cert_to_PEM_cert

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.edge.signing import check_file, check_signer
from tests.edge.firmware_signers import NOW, Signer, maker, roots, rsa_signer, signer

UTC = NOW.timestamp()
CONTENT = b"firmware" * 1000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "1.bin"
    path.write_bytes(CONTENT)
    return path


def why(one: Signer, utc: float | None = UTC, *more: bytes) -> tuple[str, str]:
    return check_signer(one.pem, roots(*more), utc)


def test_a_certificate_under_the_manufacturers_root_is_good() -> None:
    assert why(signer()) == why(rsa_signer()) == ("", "")


def test_a_certificate_of_somebody_else_is_invalid() -> None:
    verdict, text = why(Signer("Stranger", Signer("Other root", ca=True)))
    assert (verdict, text) == ("invalid", "no root of the manufacturer vouches for it")


def test_a_root_of_the_same_name_with_another_key_vouches_for_nothing() -> None:
    assert why(Signer("Example firmware", Signer("Example root", ca=True)))[0] == "invalid"


def test_without_a_root_no_certificate_is_good() -> None:
    assert check_signer(signer().pem, [], UTC) == ("invalid", "no root of the manufacturer is installed")


def test_what_stands_between_the_certificate_and_the_root_may_come_with_it() -> None:
    middle = Signer("Middle", maker(), ca=True)
    leaf = Signer("Leaf", middle)
    assert why(leaf)[0] == "invalid"
    assert check_signer(leaf.pem + middle.pem, roots(), UTC) == ("", "")


def test_a_certificate_that_is_no_authority_vouches_for_nobody() -> None:
    leaf = Signer("Leaf", signer())
    assert check_signer(leaf.pem + signer().pem, roots(), UTC)[0] == "invalid"


def test_an_authority_vouches_no_deeper_than_it_may() -> None:
    short = Signer("Short root", ca=True, length=0)
    middle = Signer("Middle", short, ca=True)
    leaf = Signer("Leaf", middle)
    assert check_signer(leaf.pem + middle.pem, [short.pem.encode()], UTC)[0] == "invalid"
    assert check_signer(Signer("Leaf", short).pem, [short.pem.encode()], UTC)[0] == ""


def test_a_chain_in_a_circle_comes_to_an_end() -> None:
    a = Signer("A", ca=True)
    b = Signer("B", a, ca=True)
    a_again = Signer("A", b, key=a.key, ca=True)
    leaf = Signer("Leaf", b)
    assert check_signer(leaf.pem + b.pem + a_again.pem, roots(), UTC)[0] == "invalid"


@pytest.mark.parametrize(("days", "text"), [((1, 2), "is not valid yet"), ((-3, -2), "has expired")])
def test_a_certificate_is_good_in_its_time_only(days: tuple[int, int], text: str) -> None:
    late = Signer("Late", maker(), days=days)
    assert why(late) == ("invalid", text)
    assert why(late, None) == ("", "")  # nobody knows the time


def test_an_authority_that_has_expired_vouches_for_nobody() -> None:
    middle = Signer("Middle", maker(), ca=True, days=(-9, -8))
    assert check_signer(Signer("Leaf", middle).pem + middle.pem, roots(), UTC) == ("invalid", "has expired")


def test_a_certificate_for_servers_signs_no_firmware() -> None:
    assert why(Signer("Server", maker(), purpose=ExtendedKeyUsageOID.SERVER_AUTH))[0] == "invalid"
    assert why(Signer("Mailer", maker(), signs=False)) == ("invalid", "is not for signatures")


def test_a_certificate_signed_with_a_broken_hash_is_not_good(tmp_path: Path) -> None:
    """Made with the usual tool: our package for certificates makes none any more."""
    new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    root, leaf = tmp_path / "root.pem", tmp_path / "leaf.pem"
    for command in (
        [*new, "-x509", "-subj", "/CN=Root", "-keyout", "root.key", "-out", "root.pem"],
        [*new, "-subj", "/CN=Leaf", "-keyout", "leaf.key", "-out", "leaf.csr"],
        [
            "openssl",
            "x509",
            "-req",
            "-sha1",
            "-in",
            "leaf.csr",
            "-CA",
            str(root),
            "-CAkey",
            "root.key",
            "-out",
            str(leaf),
        ],
    ):
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    verdict = check_signer(leaf.read_text(), [root.read_bytes()], None)
    assert verdict == ("invalid", "was signed with SHA1, which can be forged")


def test_a_short_key_signs_no_firmware() -> None:
    assert why(rsa_signer(1024))[0] == "invalid"
    assert why(Signer("Short", maker(), key=ec.generate_private_key(ec.SECP192R1())))[0] == "invalid"


def test_a_revoked_certificate_is_told_as_such() -> None:
    gone = Signer("Gone", maker())
    assert why(gone, UTC, maker().revoke(gone)) == ("revoked", "has been revoked")
    assert why(signer(), UTC, maker().revoke(gone)) == ("", "")


def test_a_revocation_list_of_somebody_else_revokes_nothing() -> None:
    false_maker = Signer("Example root", ca=True)
    assert why(signer(), UTC, false_maker.revoke(signer())) == ("", "")


@pytest.mark.parametrize("pem", ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
def test_garbage_is_no_certificate(pem: str) -> None:
    assert check_signer(pem, roots(), UTC)[0] == "invalid"


@pytest.mark.parametrize("scheme", ["pss", "pkcs1"])
def test_a_file_signed_with_rsa_is_good(file: Path, scheme: str) -> None:
    one = rsa_signer()
    assert check_file(file, one.pem, one.sign(CONTENT, scheme), roots(), UTC) == ("", "")


def test_a_file_signed_with_an_elliptic_key_is_good(file: Path) -> None:
    one = signer()
    assert check_file(file, one.pem, one.sign(CONTENT), roots(), UTC) == ("", "")


def test_what_the_usual_tool_has_signed_is_good(file: Path, tmp_path: Path) -> None:
    one = rsa_signer()
    key = tmp_path / "key.pem"
    key.write_bytes(one.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:-1"]
    for options in ([], pss):
        made = ["openssl", "dgst", "-sha256", *options, "-sign", str(key), "-out", str(tmp_path / "sig"), str(file)]
        subprocess.run(made, check=True)
        text = subprocess.run(
            ["openssl", "base64", "-in", tmp_path / "sig"], check=True, capture_output=True, text=True
        )
        assert check_file(file, one.pem, text.stdout, roots(), UTC) == ("", "")


def test_a_file_with_one_byte_more_is_not_what_was_signed(file: Path) -> None:
    with file.open("ab") as stream:
        stream.write(b"!")
    for one in (signer(), rsa_signer()):
        assert check_file(file, one.pem, one.sign(CONTENT), roots(), UTC)[0] == "signature"


def test_a_signature_of_another_signer_is_not_good(file: Path) -> None:
    assert check_file(file, signer().pem, rsa_signer().sign(CONTENT), roots(), UTC)[0] == "signature"
    assert check_file(file, signer().pem, "%%%", roots(), UTC) == ("signature", "is not base64")


def test_the_certificate_is_looked_at_again_with_the_file(file: Path) -> None:
    stranger = Signer("Stranger")
    assert check_file(file, stranger.pem, stranger.sign(CONTENT), roots(), UTC)[0] == "certificate"


def test_a_file_that_is_not_there_cannot_be_verified(tmp_path: Path) -> None:
    assert check_file(tmp_path / "no", signer().pem, signer().sign(CONTENT), roots(), UTC)[0] == "file"


@cache
def _chain() -> dict[str, bytes]:
    middle = Signer("Middle", maker(), ca=True)
    chain = {"leaf": Signer("Leaf", middle), "middle": middle, "root": maker()}
    return {name: one.certificate.public_bytes(Encoding.DER) for name, one in chain.items()}


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 255)), min_size=1, max_size=4),
    st.sampled_from(["leaf", "middle", "root"]),
)
def test_a_certificate_that_was_made_to_hurt_is_only_invalid(flips: list[tuple[int, int]], which: str) -> None:
    whole = _chain()
    broken = bytearray(whole[which])
    for place, bits in flips:
        broken[place % len(broken)] ^= bits
    texts = {name: DER_cert_to_PEM_cert(bytes(der)) for name, der in (whole | {which: bytes(broken)}).items()}
    verdict, _why = check_signer(texts["leaf"] + texts["middle"], [texts["root"].encode()], UTC)
    if which == "root":
        return  # nobody else vouches for a root
    assert verdict == "invalid" or _says(bytes(broken)) == _says(whole[which])


def _says(der: bytes) -> bytes | None:
    """What is signed: around it a bit may change that no signature covers."""
    try:
        return x509.load_der_x509_certificate(der).tbs_certificate_bytes
    except ValueError:
        return None


def test_an_installed_root_that_cannot_be_read_vouches_for_nothing_and_harms_nobody(file: Path) -> None:
    broken = DER_cert_to_PEM_cert(b"\x30\x03\x02\x01\x01").encode()
    assert check_signer(signer().pem, [broken], UTC)[0] == "invalid"
    assert check_file(file, signer().pem, signer().sign(CONTENT), [broken], UTC)[0] == "certificate"
