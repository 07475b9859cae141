"""The custodian with real certificates on a real disk; hashes are compared with those of the command openssl."""

from __future__ import annotations

import re
import ssl
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from agent.core.certificates import (
    CertificateAnswered,
    DropCertificate,
    InstallRoot,
    ListCertificates,
    MakeCsr,
    TakeSigned,
)
from agent.core.effects import CertificateIdsAnswer, RefuseCall, StatusAnswer
from agent.core.requests import Ref
from agent.core.types import CertificateHash
from agent.edge import custodian as custodians
from agent.edge import der
from agent.edge.custodian import Custodian
from agent.edge.trust import Trust, name_of
from tests.edge.pki import UTC_NOW, Issued, issue, new_key, sign

REF = Ref("1", "x")
ROOT = issue("Root A")
OTHER = issue("Root B")


@pytest.fixture
def keeper(tmp_path: Path) -> Custodian:
    return Custodian(Trust(tmp_path / "certificates"), name="WB-1")


Moment = float | None


async def install(
    keeper: Custodian,
    pem: str,
    kind: str = "CSMSRoot",
    *,
    most: int = 20,
    chained: bool = False,
    utc: Moment = UTC_NOW,
) -> CertificateAnswered:
    return await keeper.answer(InstallRoot(REF, utc, kind, pem, most, chained))


async def signed(
    keeper: Custodian, chain: str, *, most: int = 10000, utc: float | None = UTC_NOW
) -> CertificateAnswered:
    return await keeper.answer(TakeSigned(REF, utc, chain, most))


async def csr_of(keeper: Custodian) -> str:
    made = await keeper.make_csr(MakeCsr("Operator"))
    assert made.csr
    return made.csr


async def hashes(keeper: Custodian, *kinds: str) -> list[tuple[str, CertificateHash]]:
    answered = await keeper.answer(ListCertificates(REF, None, kinds))
    assert isinstance(answered.answer, CertificateIdsAnswer)
    return list(answered.answer.found)


def status(answered: CertificateAnswered) -> str:
    assert isinstance(answered.answer, StatusAnswer)
    return answered.answer.status


# --- hash data ---


def by_openssl(tmp_path: Path, certificate: Issued, issuer: Issued, algorithm: str) -> CertificateHash:
    """An independent computation: what an OCSP request would say."""
    (tmp_path / "c.pem").write_text(certificate.pem)
    (tmp_path / "i.pem").write_text(issuer.pem)
    command = ["openssl", "ocsp", f"-{algorithm.lower()}", "-issuer", "i.pem", "-cert", "c.pem", "-req_text"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False).stdout
    whole = said.replace("\\\n", "")  # long numbers go on in the next line
    found = dict(re.findall(r"(Issuer Name Hash|Issuer Key Hash|Serial Number): ([0-9A-F]+)", whole))
    serial = found["Serial Number"].lower().lstrip("0")
    return CertificateHash(algorithm, found["Issuer Name Hash"].lower(), found["Issuer Key Hash"].lower(), serial)


CASES: dict[str, tuple[Issued, Issued]] = {
    "EC": (ROOT, ROOT),
    "RSA": (rsa_root := issue("R", key=new_key("rsa")), rsa_root),
    "a small serial number": (small := issue("S", serial=1), small),
    "a serial number with leading zeros": (zeros := issue("Z", serial=0x0F00), zeros),
    "a long serial number": (long := issue("L", serial=2**159 - 1), long),
    "signed by another": (issue("Sub", ROOT), ROOT),
    "a name in UTF-8": (umlaut := issue("Ladesäule Grün"), umlaut),
}


@pytest.mark.parametrize("algorithm", der.ALGORITHMS)
@pytest.mark.parametrize("case", CASES)
def test_hash_data_is_what_openssl_computes(tmp_path: Path, case: str, algorithm: str) -> None:
    certificate, issuer = CASES[case]
    found = der.hash_of(der.fields(certificate.der), der.fields(issuer.der).key, algorithm)
    assert found == by_openssl(tmp_path, certificate, issuer, algorithm)


@pytest.mark.parametrize("case", CASES)
def test_what_is_read_from_der_is_what_the_library_reads(case: str) -> None:
    issued = CASES[case][0]
    found = der.fields(issued.der)
    cert = issued.certificate
    assert (found.serial, found.since, found.until) == (
        cert.serial_number,
        cert.not_valid_before_utc.timestamp(),
        cert.not_valid_after_utc.timestamp(),
    )
    assert found.name == cert.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value


def test_dates_beyond_2049_are_read() -> None:
    assert der.fields(issue("far", days=(0, 20000)).der).until == UTC_NOW + 20000 * 86400


def test_der_that_is_cut_anywhere_is_malformed() -> None:
    for length in range(len(ROOT.der) // 2):
        with pytest.raises(der.Malformed):
            der.fields(ROOT.der[:length])


# --- roots ---


async def test_an_installed_root_is_listed_and_trusted_by_the_link(keeper: Custodian, tmp_path: Path) -> None:
    answered = await install(keeper, ROOT.pem)
    assert (status(answered), answered.done) == ("Accepted", "a CSMSRoot was installed (Root A)")
    assert await hashes(keeper) == [("CSMSRoot", by_openssl(tmp_path, ROOT, ROOT, "SHA256"))]
    file = keeper.trust.csms_ca_file()
    assert file is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(file)
    assert context.get_ca_certs(binary_form=True) == [ROOT.der]


async def test_only_the_kinds_asked_for_are_listed(keeper: Custodian) -> None:
    await install(keeper, ROOT.pem)
    await install(keeper, OTHER.pem, "ManufacturerRoot")
    assert [kind for kind, _hash in await hashes(keeper, "ManufacturerRoot")] == ["ManufacturerRoot"]
    assert len(await hashes(keeper)) == 2


async def test_the_same_root_again_changes_nothing(keeper: Custodian) -> None:
    await install(keeper, ROOT.pem)
    answered = await install(keeper, ROOT.pem, most=1)
    assert (status(answered), answered.done) == ("Accepted", "")
    assert len(await hashes(keeper)) == 1


WEAK = issue("weak", key=rsa.generate_private_key(65537, 1024))
BROKEN = ROOT.pem.replace("A", "B")
UNFIT: dict[str, tuple[str, str]] = {
    "nothing": ("", "cannot be read"),
    "text": ("hello", "cannot be read"),
    "a broken certificate": (BROKEN, "cannot be read"),
    "base64 of nonsense": (ssl.DER_cert_to_PEM_cert(b"\x30\x03\x02\x01\x01"), "cannot be read"),
    "too long": (ROOT.pem + " " * 6000, "longer than 5500"),
    "two at once": (ROOT.pem + OTHER.pem, "2 certificates came"),
    "expired": (issue("old", days=(-30, -1)).pem, "has expired"),
    "no authority": (issue("leaf", ca=False).pem, "not the certificate of an authority"),
    "a short key": (WEAK.pem, "only 1024 bits"),
    "with a private key": (ROOT.pem + ROOT.key_pem.decode(), "not a certificate in PEM form"),
    "other letters": (ROOT.pem + "é", "not a certificate in PEM form"),
    "a forged signature": (issue("Root A", Issued(ROOT.certificate, new_key())).pem, "its own signature"),
}


@pytest.mark.parametrize("case", UNFIT)
async def test_what_is_no_fit_root_is_rejected_and_leaves_nothing(keeper: Custodian, case: str) -> None:
    pem, why = UNFIT[case]
    answered = await install(keeper, pem)
    assert status(answered) == "Rejected"
    assert why in answered.refused
    assert await hashes(keeper) == []


async def test_no_date_is_judged_while_nobody_has_told_the_time(keeper: Custodian) -> None:
    assert status(await install(keeper, issue("old", days=(-30, -1)).pem, utc=None)) == "Accepted"


async def test_a_root_that_is_valid_from_tomorrow_may_be_installed_today(keeper: Custodian) -> None:
    assert status(await install(keeper, issue("new", days=(1, 100)).pem)) == "Accepted"


@pytest.mark.parametrize("kind", ["V2GRoot", "MORoot", "../own"])
async def test_a_kind_of_root_that_is_not_used_here_is_rejected(keeper: Custodian, kind: str) -> None:
    assert status(await install(keeper, ROOT.pem, kind)) == "Rejected"
    assert not keeper.trust.folder.exists()


async def test_no_more_roots_are_installed_than_there_may_be(keeper: Custodian) -> None:
    await install(keeper, ROOT.pem, most=2)
    await install(keeper, OTHER.pem, "ManufacturerRoot", most=2)
    answered = await install(keeper, issue("C").pem, most=2)
    assert (status(answered), answered.refused) == ("Rejected", "there are 2 roots already")


async def test_a_disk_that_refuses_is_a_failure_and_no_rejection(keeper: Custodian) -> None:
    keeper.trust.folder.write_text("a file in the way")
    answered = await install(keeper, ROOT.pem)
    assert status(answered) == "Failed"
    assert "cannot be" in answered.refused


async def test_each_order_is_answered_in_words_that_it_has_when_the_disk_refuses(keeper: Custodian) -> None:
    """There is no status for a list that cannot be read."""
    keeper.trust.folder.write_text("a file in the way")
    drop = DropCertificate(REF, None, CertificateHash("SHA256", "a", "b", "c"))
    answered = [await keeper.answer(order) for order in (ListCertificates(REF, None), drop)]
    answered += [await install(keeper, ROOT.pem), await signed(keeper, ROOT.pem)]
    refusal = RefuseCall("InternalError", "the certificates cannot be read")
    assert [one.answer for one in answered] == [refusal, *map(StatusAnswer, ("Failed", "Failed", "Rejected"))]
    assert all("cannot be" in one.refused for one in answered)


# --- deleting ---


@pytest.mark.parametrize("algorithm", der.ALGORITHMS)
async def test_a_root_is_deleted_by_its_hash_in_any_spelling(keeper: Custodian, tmp_path: Path, algorithm: str) -> None:
    await install(keeper, ROOT.pem)
    await install(keeper, OTHER.pem)
    h = by_openssl(tmp_path, ROOT, ROOT, algorithm)
    shouted = CertificateHash(algorithm, h.issuer_name.upper(), h.issuer_key.upper(), "00" + h.serial.upper())
    answered = await keeper.answer(DropCertificate(REF, None, shouted))
    assert status(answered) == "Accepted"
    assert keeper.trust.names("CSMSRoot") == [name_of(OTHER.der)]


async def test_a_certificate_that_is_not_there_is_not_found(keeper: Custodian, tmp_path: Path) -> None:
    await install(keeper, ROOT.pem)
    answered = await keeper.answer(DropCertificate(REF, None, by_openssl(tmp_path, OTHER, OTHER, "SHA256")))
    assert status(answered) == "NotFound"


async def test_the_root_on_which_the_link_stands_cannot_be_deleted(keeper: Custodian, tmp_path: Path) -> None:
    await install(keeper, ROOT.pem)
    await install(keeper, OTHER.pem)
    keeper.trust.csms_ca_file()
    await keeper.stands([ROOT.der], only_newest=False)
    for root, expected in ((ROOT, "Failed"), (OTHER, "Accepted")):
        answered = await keeper.answer(DropCertificate(REF, None, by_openssl(tmp_path, root, root, "SHA256")))
        assert status(answered) == expected


async def test_our_own_certificate_cannot_be_deleted(keeper: Custodian, tmp_path: Path) -> None:
    leaf = sign(await csr_of(keeper), ROOT)
    await signed(keeper, leaf.pem)
    answered = await keeper.answer(DropCertificate(REF, None, by_openssl(tmp_path, leaf, ROOT, "SHA256")))
    assert status(answered) == "Failed"
    assert keeper.trust.own() == [1]


# --- one root, and the next one signed by it ---


async def test_a_chained_root_must_be_signed_by_the_one_before(keeper: Custodian) -> None:
    await install(keeper, ROOT.pem, chained=True)
    answered = await install(keeper, OTHER.pem, chained=True)
    assert (status(answered), answered.alarm) == ("Rejected", "InvalidCsmsCertificate")
    assert keeper.trust.names("CSMSRoot") == [name_of(ROOT.der)]


async def test_a_chained_root_replaces_the_one_before_once_it_was_used(keeper: Custodian, tmp_path: Path) -> None:
    new = issue("Root A2", ROOT)
    await install(keeper, ROOT.pem, chained=True)
    keeper.trust.csms_ca_file()
    await keeper.stands([ROOT.der], only_newest=True)
    assert status(await install(keeper, new.pem, chained=True)) == "Accepted"
    assert len(keeper.trust.names("CSMSRoot")) == 2  # the old one is there to fall back on
    keeper.trust.csms_ca_file()
    await keeper.stands([new.der, ROOT.der], only_newest=True)
    assert keeper.trust.names("CSMSRoot") == [name_of(new.der)]
    assert await hashes(keeper) == [("CSMSRoot", by_openssl(tmp_path, new, ROOT, "SHA256"))]


async def test_a_chained_root_that_was_never_used_gives_way_to_the_next(keeper: Custodian) -> None:
    first, second = issue("A2", ROOT), issue("A3", ROOT)
    await install(keeper, ROOT.pem, chained=True)
    keeper.trust.csms_ca_file()
    await keeper.stands([ROOT.der], only_newest=True)
    await install(keeper, first.pem, chained=True)
    assert status(await install(keeper, second.pem, chained=True)) == "Accepted"
    assert set(keeper.trust.names("CSMSRoot")) == {name_of(ROOT.der), name_of(second.der)}


async def test_the_configured_roots_count_as_the_ones_before(keeper: Custodian, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(ROOT.pem)
    keeper.ca_file = str(tmp_path / "ca.pem")
    assert status(await install(keeper, OTHER.pem, chained=True)) == "Rejected"
    assert status(await install(keeper, issue("A2", ROOT).pem, chained=True)) == "Accepted"


# --- a certificate of our own ---


async def test_a_request_names_us_and_the_operator_and_has_a_key_of_its_own(keeper: Custodian) -> None:
    requests = [x509.load_pem_x509_csr((await csr_of(keeper)).encode()) for _ in range(2)]
    subject = requests[0].subject
    assert [a.value for a in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["WB-1"]
    assert [a.value for a in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == ["Operator"]
    assert all(request.is_signature_valid for request in requests)
    assert isinstance(requests[0].public_key(), ec.EllipticCurvePublicKey)
    assert requests[0].public_key() != requests[1].public_key()


async def test_a_request_may_be_for_an_rsa_key_and_names_of_any_length(tmp_path: Path) -> None:
    keeper = Custodian(Trust(tmp_path), name="x" * 200, key_kind="rsa-2048")
    request = x509.load_pem_x509_csr((await keeper.make_csr(MakeCsr("o" * 255))).csr.encode())
    key = request.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 2048


async def test_the_key_of_a_request_is_on_disk_alone_and_for_us_alone(keeper: Custodian) -> None:
    csr = await csr_of(keeper)
    (file,) = (keeper.trust.folder / "pending").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "PRIVATE" not in csr


async def test_a_chain_for_our_key_is_shown_to_the_csms_from_then_on(keeper: Custodian) -> None:
    sub = issue("Sub", ROOT)
    leaf = sign(await csr_of(keeper), sub)
    await install(keeper, ROOT.pem)
    answered = await signed(keeper, leaf.pem + sub.pem)
    assert (status(answered), answered.done) == ("Accepted", "a new certificate of ours was installed (CP)")
    shown = keeper.trust.client_certificate()
    assert shown is not None
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(*shown)
    assert Path(shown[0]).read_text() == leaf.pem + sub.pem


async def test_the_order_within_a_chain_does_not_matter(keeper: Custodian) -> None:
    upper = issue("Upper", ROOT)
    lower = issue("Lower", upper)
    leaf = sign(await csr_of(keeper), lower)
    assert status(await signed(keeper, ROOT.pem + upper.pem + leaf.pem + lower.pem)) == "Accepted"
    assert keeper.trust.own_chain(1).decode() == leaf.pem + lower.pem + upper.pem + ROOT.pem


async def test_a_certificate_for_an_earlier_request_is_still_taken(keeper: Custodian) -> None:
    first = await csr_of(keeper)
    await csr_of(keeper)
    assert status(await signed(keeper, sign(first, ROOT).pem)) == "Accepted"


async def test_a_key_damaged_on_disk_does_not_hinder_the_others(keeper: Custodian) -> None:
    csr = await csr_of(keeper)
    keeper.trust.add_pending(b"damaged")
    assert status(await signed(keeper, sign(csr, ROOT).pem)) == "Accepted"


MISFITS: dict[str, tuple[Any, str]] = {
    "garbage": (lambda _csr: "garbage", "cannot be read"),
    "another's key": (lambda _csr: issue("CP", ROOT, ca=False).pem, "not for a key that we have asked for"),
    "expired": (lambda csr: sign(csr, ROOT, days=(-9, -1)).pem, "has expired"),
    "from the future": (lambda csr: sign(csr, ROOT, days=(1, 9)).pem, "not valid yet"),
    "of an unknown authority": (lambda csr: sign(csr, OTHER).pem, "does not lead to a root"),
    "with strangers in it": (lambda csr: sign(csr, ROOT).pem + OTHER.pem, "did not sign one another"),
    "signed by no authority": (
        lambda csr: sign(csr, leaf := issue("leaf", ROOT, ca=False)).pem + leaf.pem,
        "not the certificate of an authority",
    ),
    "signed by an expired one": (
        lambda csr: sign(csr, sub := issue("sub", ROOT, days=(-9, -1))).pem + sub.pem,
        "has expired",
    ),
    "too long": (lambda csr: sign(csr, ROOT).pem + " " * 10000, "longer than 10000"),
    "many": (lambda csr: sign(csr, ROOT).pem + ROOT.pem * 11, "more than 10"),
}


@pytest.mark.parametrize("case", MISFITS)
async def test_a_chain_that_does_not_fit_is_rejected_with_an_alarm(keeper: Custodian, case: str) -> None:
    await install(keeper, ROOT.pem)
    make, why = MISFITS[case]
    answered = await signed(keeper, make(await csr_of(keeper)), most=10000)
    assert (status(answered), answered.alarm) == ("Rejected", "InvalidChargingStationCertificate")
    assert why in answered.refused
    assert keeper.trust.own() == []


async def test_a_certificate_for_a_server_only_is_rejected(keeper: Custodian) -> None:
    request = x509.load_pem_x509_csr((await csr_of(keeper)).encode())
    chain = issue("CP", ROOT, ca=False, public=request.public_key(), server="127.0.0.1").pem
    assert "not made for a TLS client" in (await signed(keeper, chain)).refused


async def test_nothing_of_what_came_stands_in_a_refusal(keeper: Custodian) -> None:
    answered = await signed(keeper, issue("planted-name", ROOT, ca=False).pem)
    assert "planted" not in repr(answered)


# --- what is held ---


async def test_what_is_held_is_told_with_its_dates(keeper: Custodian, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(OTHER.pem)
    keeper.ca_file = str(tmp_path / "ca.pem")
    await install(keeper, ROOT.pem)
    leaf = sign(await csr_of(keeper), ROOT, days=(-1, 90))
    await signed(keeper, leaf.pem)
    held = (await keeper.look()).certificates
    assert [(one.kind, one.name) for one in held] == [
        ("CSMSRoot", "Root A"),
        ("Configured", "Root B"),
        ("ChargingStation", "CP"),
    ]
    assert held[-1].until == UTC_NOW + 90 * 86400


async def test_a_start_with_roots_and_a_certificate_loads_no_cryptography(tmp_path: Path) -> None:
    keeper = Custodian(Trust(tmp_path), name="WB-1")
    await install(keeper, ROOT.pem)
    await signed(keeper, sign(await csr_of(keeper), ROOT).pem)
    program = (
        "import sys; from agent.edge.custodian import Custodian; from agent.edge.trust import Trust\n"
        f"keeper = Custodian(Trust({str(tmp_path)!r}), name='WB-1')\n"
        "assert len(keeper.holdings().certificates) == 2\n"
        "assert not [name for name in sys.modules if name.startswith('cryptography')]"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


# --- without the package ---


@pytest.fixture
def without(keeper: Custodian, monkeypatch: pytest.MonkeyPatch) -> Custodian:
    monkeypatch.setattr(custodians, "able", lambda: False)
    return keeper


async def test_without_the_package_requests_are_refused_as_not_supported(without: Custodian) -> None:
    for answered in (await install(without, ROOT.pem), await signed(without, ROOT.pem)):
        assert isinstance(answered.answer, RefuseCall)
        assert answered.answer.code == "NotSupported"
    assert (await without.make_csr(MakeCsr())).csr == ""
    assert not (await without.look()).able


async def test_a_package_that_does_not_load_is_as_none(keeper: Custodian, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    answered = await install(keeper, ROOT.pem)
    assert isinstance(answered.answer, RefuseCall)
    assert (await keeper.make_csr(MakeCsr())).csr == ""
