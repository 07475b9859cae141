"""Verifying OCMF as the software of a driver or of a backend does: apart from the project's own code."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key


def proved(text: str, public_key: str) -> dict[str, Any]:
    """The payload of an OCMF text whose signature holds; AssertionError when it does not."""
    head, payload, signature = text.split("|")
    assert head == "OCMF"
    key = load_der_public_key(b64decode(public_key, validate=True))
    assert isinstance(key, ec.EllipticCurvePublicKey)
    try:
        key.verify(bytes.fromhex(json.loads(signature)["SD"]), payload.encode(), ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise AssertionError(f"the signature does not hold over {payload}") from None
    found: dict[str, Any] = json.loads(payload)
    return found
