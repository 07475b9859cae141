"""Every message of every schema, and every way in which it can be wrong, to a charger that charges."""

from __future__ import annotations

import pytest

from tests.fuzz.rig import Rig, play
from tests.fuzz.shapes import actions, schema, variations

CASES = [(version, action) for version in ("1.6", "2.0.1") for action in actions(version)]
# Codes for a payload that is not as it should be, and for what is not done here: of either version.
CODES = {
    *("FormationViolation", "FormatViolation", "TypeConstraintViolation", "PropertyConstraintViolation"),
    *("OccurenceConstraintViolation", "OccurrenceConstraintViolation", "NotSupported", "NotImplemented"),
    *("SecurityError", "GenericError", "InternalError", "ProtocolError", "RpcFrameworkError"),
}


async def all_of(rig: Rig, action: str) -> None:
    for number, (what, payload) in enumerate(variations(schema(rig.version, action))):
        charged, message_id = rig.charging, f"v{number}"
        await rig.call(message_id, action, payload)
        code = rig.refused.get(message_id)
        assert code is None or code in CODES, what
        if code is not None:
            assert rig.charging == charged, f"a refused message changed what is offered: {what}"


@pytest.mark.parametrize(("version", "action"), CASES)
def test_every_variation_is_answered_once_and_breaks_nothing(version: str, action: str) -> None:
    async def story(rig: Rig) -> None:
        assert rig.charging
        await all_of(rig, action)

    rig = play(version, story)
    if len(rig.refused) == sum(rig.answers.values()):
        assert rig.charging, "not one was accepted, and yet the charge has ended"
