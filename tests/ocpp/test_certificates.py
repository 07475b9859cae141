"""Security events and certificates on the wire, in both versions."""

from __future__ import annotations

import pytest

from agent.core.certificates import SignAnswered
from agent.core.effects import CertificateIdsAnswer, RefuseCall, SecurityNotice, SignCertificate, StatusAnswer
from agent.core.requests import (
    CertificateDeleteRequested,
    CertificateIdsRequested,
    CertificateInstallRequested,
    CertificateSigned,
    TriggerRequested,
)
from agent.core.security import KINDS
from agent.core.types import CertificateHash
from agent.errors import RpcError
from agent.ocpp import dialect
from agent.ocpp.dialect import Dialect, Payload
from tests.ocpp.words import NOON, STATION, faults, ref

DIALECTS = [dialect.load(name) for name in dialect.VERSIONS]
BY_NAME = pytest.mark.parametrize("spoken", DIALECTS, ids=lambda spoken: str(spoken.name))
DATA = {"hashAlgorithm": "SHA384", "issuerNameHash": "AB" * 48, "issuerKeyHash": "cd" * 48, "serialNumber": "1f"}
HASH = CertificateHash("SHA384", "AB" * 48, "cd" * 48, "1f")

REQUESTS: dict[str, list[tuple[str, Payload]]] = {
    "1.6": [
        ("CertificateSigned", {"certificateChain": "PEM"}),
        ("InstallCertificate", {"certificateType": "CentralSystemRootCertificate", "certificate": "PEM"}),
        ("DeleteCertificate", {"certificateHashData": DATA}),
        ("GetInstalledCertificateIds", {"certificateType": "ManufacturerRootCertificate"}),
    ],
    "2.0.1": [
        ("CertificateSigned", {"certificateChain": "PEM", "certificateType": "ChargingStationCertificate"}),
        ("InstallCertificate", {"certificateType": "CSMSRootCertificate", "certificate": "PEM"}),
        ("DeleteCertificate", {"certificateHashData": DATA}),
        ("GetInstalledCertificateIds", {"certificateType": ["ManufacturerRootCertificate"]}),
    ],
}


@BY_NAME
def test_requests_about_certificates_are_read(spoken: Dialect) -> None:
    read = [spoken.asked(ref(action), payload) for action, payload in REQUESTS[spoken.name]]
    assert read == [
        CertificateSigned(ref("CertificateSigned"), "PEM"),
        CertificateInstallRequested(ref("InstallCertificate"), "CSMSRoot", "PEM"),
        CertificateDeleteRequested(ref("DeleteCertificate"), HASH),
        CertificateIdsRequested(ref("GetInstalledCertificateIds"), ("ManufacturerRoot",)),
    ]


def test_a_newer_version_may_ask_for_all_kinds_at_once() -> None:
    asked = dialect.load("2.0.1").asked(ref("GetInstalledCertificateIds"), {})
    assert asked == CertificateIdsRequested(ref("GetInstalledCertificateIds"), ())


@BY_NAME
@pytest.mark.parametrize("found", [(), (("CSMSRoot", HASH), ("ManufacturerRoot", HASH))], ids=["none", "two"])
def test_the_list_of_certificates_is_valid(spoken: Dialect, found: tuple[tuple[str, CertificateHash], ...]) -> None:
    told = spoken.reply("GetInstalledCertificateIds", {}, CertificateIdsAnswer(found), STATION)
    assert faults(spoken, "GetInstalledCertificateIds", told, answer=True) == []
    assert told["status"] == ("Accepted" if found else "NotFound")


@BY_NAME
@pytest.mark.parametrize("action", [action for action, _payload in REQUESTS["1.6"]])
def test_where_certificates_cannot_be_handled_every_request_is_refused(spoken: Dialect, action: str) -> None:
    with pytest.raises(RpcError, match="NotSupported"):
        spoken.reply(action, {}, RefuseCall("NotSupported"), STATION)


@BY_NAME
@pytest.mark.parametrize(
    ("action", "status"),
    [
        ("CertificateSigned", "Accepted"),
        ("CertificateSigned", "Rejected"),
        ("InstallCertificate", "Accepted"),
        ("InstallCertificate", "Rejected"),
        ("InstallCertificate", "Failed"),
        ("DeleteCertificate", "Accepted"),
        ("DeleteCertificate", "Failed"),
        ("DeleteCertificate", "NotFound"),
    ],
)
def test_every_status_is_told_as_it_is(spoken: Dialect, action: str, status: str) -> None:
    assert spoken.reply(action, {}, StatusAnswer(status), STATION) == {"status": status}


@BY_NAME
@pytest.mark.parametrize(
    ("answer", "accepted"), [({"status": "Accepted"}, True), ({"status": "Rejected"}, False), ({}, False)]
)
def test_the_answer_to_a_request_for_a_certificate_is_read(spoken: Dialect, answer: Payload, accepted: bool) -> None:
    call = SignCertificate("PEM")
    assert spoken.answered(call, "SignCertificate", answer) == SignAnswered(call, accepted)


@BY_NAME
def test_a_request_for_a_certificate_is_valid(spoken: Dialect) -> None:
    message = spoken.encode(SignCertificate("PEM"), STATION)
    assert message is not None
    assert faults(spoken, *message) == []


@BY_NAME
@pytest.mark.parametrize("kind", KINDS)
def test_every_security_event_is_valid(spoken: Dialect, kind: str) -> None:
    message = spoken.encode(SecurityNotice(kind, NOON, "x" * 300, 1), STATION)
    assert message is not None
    assert faults(spoken, *message) == []


def test_security_events_have_the_names_of_their_version() -> None:
    found = {}
    for spoken in DIALECTS:
        message = spoken.encode(SecurityNotice("InvalidChargingStationCertificate", NOON), STATION)
        assert message is not None
        found[spoken.name] = message[1]["type"]
    assert found == {"1.6": "InvalidChargePointCertificate", "2.0.1": "InvalidChargingStationCertificate"}


@pytest.mark.parametrize(
    ("version", "action", "word"),
    [
        ("1.6", "ExtendedTriggerMessage", "SignChargePointCertificate"),
        ("2.0.1", "TriggerMessage", "SignChargingStationCertificate"),
    ],
)
def test_a_trigger_may_ask_for_a_certificate(version: str, action: str, word: str) -> None:
    asked = dialect.load(version).asked(ref(action), {"requestedMessage": word})
    assert isinstance(asked, TriggerRequested)
    assert asked.message == "SignCertificate"
