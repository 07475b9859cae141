"""What goes wrong on the wire, and the CALLERROR code that each OCPP-J version has for it.

The endpoint (`rpc`) and the schema check (`schema`) name a *rule*; the version's table here turns the rule into a code.
A new version is one more table. Nobody branches on a code that a peer sent: central systems disagree about all of them.

Choices where the specifications leave room (OCPP-J 1.6 section 4.2.3, OCPP 2.0.1 part 4 section 4.3):
* A missing field and a list of the wrong length are occurrence constraints; a value of the right type that the field
  cannot take (enumeration, length, range) is a property constraint.
* NotImplemented: the action is unknown to this version. NotSupported: it is known, and this station does not do it.
* 1.6 keeps its two misspelt codes; its errata says that they stay.
* 1.6 ignores a message type that it does not know, and has no way to answer a frame whose id cannot be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from agent.core.record import record

Rule = Literal[
    # the frame
    "syntax",  # not JSON, not UTF-8, NaN, too deep, the same member twice
    "size",  # longer than this endpoint reads
    "frame",  # not a list of the elements that its message type asks for
    "incomplete",  # elements are missing at its end
    "message-type",  # a message type number that this version does not have
    "payload",  # the payload is no JSON object
    # the payload against its schema, by the schema's own words
    "type",
    "required",
    "additionalProperties",
    "enum",
    "maxLength",
    "minItems",
    "maxItems",
    "minimum",
    "maximum",
    # the action
    "unknown-action",
    "unsupported",
    "busy",
    "internal",
    "security",
    "generic",
]


@record
class Codes:
    """The error table of one version. A rule without a code is met with silence."""

    code: Mapping[Rule, str]
    unreadable_id: str | None  # the message id of a CALLERROR to a frame whose own id cannot be read; None: silence


_COMMON: Mapping[Rule, str] = {
    "type": "TypeConstraintViolation",
    "enum": "PropertyConstraintViolation",
    "maxLength": "PropertyConstraintViolation",
    "minimum": "PropertyConstraintViolation",
    "maximum": "PropertyConstraintViolation",
    "unknown-action": "NotImplemented",
    "unsupported": "NotSupported",
    "busy": "InternalError",
    "internal": "InternalError",
    "security": "SecurityError",
    "generic": "GenericError",
}

V16 = Codes(
    code={
        **_COMMON,
        "syntax": "FormationViolation",
        "size": "FormationViolation",
        "frame": "FormationViolation",
        "incomplete": "ProtocolError",
        "payload": "FormationViolation",
        "additionalProperties": "FormationViolation",
        "required": "OccurenceConstraintViolation",
        "minItems": "OccurenceConstraintViolation",
        "maxItems": "OccurenceConstraintViolation",
    },
    unreadable_id=None,
)

V201 = Codes(
    code={
        **_COMMON,
        "syntax": "FormatViolation",
        "size": "FormatViolation",
        "frame": "RpcFrameworkError",
        "incomplete": "RpcFrameworkError",
        "message-type": "MessageTypeNotSupported",
        "payload": "FormatViolation",
        "additionalProperties": "ProtocolError",
        "required": "OccurrenceConstraintViolation",
        "minItems": "OccurrenceConstraintViolation",
        "maxItems": "OccurrenceConstraintViolation",
    },
    unreadable_id="-1",
)
