"""Certificates that were made to hurt, and servers that refuse ours in another way than TLS has for it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from agent.core.certificates import InstallRoot, MakeCsr, TakeSigned
from agent.core.effects import StatusAnswer
from agent.core.requests import Ref
from agent.edge.custodian import Custodian
from agent.edge.link import Disconnected
from agent.edge.reasons import LinkWhy, WhyKind
from agent.edge.trust import Trust
from tests.core.test_config_csms import SECURE, WORD
from tests.edge.pki import NOW, UTC_NOW, Issued, issue, new_key, sign
from tests.edge.test_network import Desk, over

REF = Ref("1", "x")
OWN_CERTIFICATE = SECURE + WORD + 'client_certificate_file = "ca.pem"\nsecurity_profile = 2'
MADE_WITH = "ca.pem"
TRAP = "\x06\x03\x55\x04\x03"  # a name that looks like the beginning of another one


@pytest.fixture
def keeper(tmp_path: Path) -> Custodian:
    return Custodian(Trust(tmp_path / "certificates"), name="WB-1")


def trapped() -> Issued:
    """Good for every library; nobody has signed it, as nobody must for a root that another one has issued."""
    key = new_key()
    names = [x509.NameAttribute(NameOID.COMMON_NAME, "x"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, TRAP)]
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(names))
        .issuer_name(x509.Name(names[:1]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=9))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    return Issued(builder.sign(key, hashes.SHA256()), key)


async def test_a_root_with_a_trap_in_its_name_is_answered_and_hides_no_other(keeper: Custodian) -> None:
    sound = issue("Sound")
    for pem in (trapped().pem, sound.pem):
        answered = await keeper.answer(InstallRoot(REF, UTC_NOW, "CSMSRoot", pem, 20, False))
        assert answered.answer == StatusAnswer("Accepted")
    assert (await keeper.look()).trouble == ""


async def test_what_we_could_not_read_again_is_not_installed(
    keeper: Custodian, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library and our own reader may differ over what is a certificate; then it is refused, and nothing is kept."""
    from agent.edge import der

    def fails(_der: bytes) -> der.Fields:
        raise der.Malformed("it cannot be read as a certificate")

    monkeypatch.setattr(der, "fields", fails)
    answered = await keeper.answer(InstallRoot(REF, UTC_NOW, "CSMSRoot", issue("Root").pem, 20, False))
    assert answered.answer == StatusAnswer("Rejected")
    made = await keeper.make_csr(MakeCsr("Org"))
    chain = sign(made.csr, issue("Root")).pem
    taken = await keeper.answer(TakeSigned(REF, UTC_NOW, chain, 10_000))
    assert taken.answer == StatusAnswer("Rejected")
    assert (keeper.trust.names("CSMSRoot"), keeper.trust.own()) == ([], [])


# --- who we are -----------------------------------------------------------------------------------------------

REFUSALS = (
    LinkWhy(WhyKind.HTTP, "the server refused the handshake (HTTP 400)"),  # what nginx says of a certificate
    LinkWhy(WhyKind.FORBIDDEN, "HTTP 403"),
    LinkWhy(WhyKind.UNAUTHORIZED, "HTTP 401"),
    LinkWhy(WhyKind.CONFIG, "our certificate cannot be used"),  # damaged on the disk
)


def shown(desk: Desk) -> str:
    client = desk.settings.client
    assert client is not None
    return Path(client[0]).name


@pytest.mark.parametrize("why", REFUSALS, ids=lambda why: str(why.kind))
async def test_a_new_certificate_that_is_refused_above_tls_gives_way_to_the_one_before(
    tmp_path: Path, why: LinkWhy
) -> None:
    desk = over(tmp_path, OWN_CERTIFICATE, trust=True, security=3)
    for number in (1, 2):
        desk.trust.add_own(f"chain {number}", b"key")
    assert shown(desk) == "00000002.pem"
    await desk.network.disconnected(Disconnected(why, 10.0, False))
    assert shown(desk) == "00000001.pem"


async def test_when_all_of_ours_are_refused_the_one_that_the_charger_was_made_with_has_its_turn(tmp_path: Path) -> None:
    """A certificate that ran out while the charger was off must not lock it out."""
    desk = over(tmp_path, OWN_CERTIFICATE, trust=True, security=3)
    desk.trust.add_own("chain", b"key")
    turns = []
    for _ in range(3):
        turns.append(shown(desk))
        expired = LinkWhy(WhyKind.TLS, "the server says that our certificate has expired")
        await desk.network.disconnected(Disconnected(expired, 10.0, False))
    assert turns == ["00000001.pem", MADE_WITH, "00000001.pem"]


async def test_a_refusal_with_a_password_says_nothing_of_certificates(tmp_path: Path) -> None:
    desk = over(tmp_path, OWN_CERTIFICATE, trust=True, security=2)
    for number in (1, 2):
        desk.trust.add_own(f"chain {number}", b"key")
    desk.trust.client_certificate()
    _ = desk.settings
    await desk.network.disconnected(Disconnected(REFUSALS[1], 10.0, False))
    assert Path(desk.trust.client_certificate()[0]).name == "00000002.pem"  # type: ignore[index]
