"""What the dialects share of certificates: hash data both ways, and the answer to a SignCertificate."""

from __future__ import annotations

from agent.core.certificates import SignAnswered
from agent.core.effects import Call
from agent.core.events import Event
from agent.core.types import CertificateHash
from agent.ocpp.dialect import Payload
from agent.ocpp.fields import branch, hope, need, one_of, same, text

_ALGORITHMS = same(("SHA256", "SHA384", "SHA512"))
_LONGEST_SERIAL = 40


def hash_in(value: object) -> CertificateHash:
    """CertificateHashData as it comes."""
    data = branch(value)
    return CertificateHash(
        need(data, "hashAlgorithm", one_of(_ALGORITHMS)),
        need(data, "issuerNameHash", text),
        need(data, "issuerKeyHash", text),
        need(data, "serialNumber", text),
    )


def hash_out(found: CertificateHash) -> Payload:
    return {
        "hashAlgorithm": found.algorithm,
        "issuerNameHash": found.issuer_name,
        "issuerKeyHash": found.issuer_key,
        "serialNumber": found.serial[:_LONGEST_SERIAL],
    }


def signing(sent: Call, answer: Payload) -> Event:
    """What cannot be read counts as Rejected."""
    return SignAnswered(sent, hope(answer, "status", text) == "Accepted")
