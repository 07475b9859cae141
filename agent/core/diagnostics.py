"""The words of logs on their way to the CSMS: the errands they take and what came of them.

An upload is named by a `number` of our own, so that whatever comes late, of an upload that was replaced, is known as
such. The file is made once and kept until the upload is over; each try sends the same bytes.
"""

from __future__ import annotations

from agent.core.effects import Errand
from agent.core.events import Event
from agent.core.record import record


@record
class SendLog(Errand):
    """Make the file `name`, unless it is there, and send it. `kind`: "Diagnostics" or "Security"; of the latter
    `lines` are all. `oldest` and `latest`: UTC epoch seconds. Answered by `LogSent`, unless it is dropped."""

    number: int
    kind: str
    location: str
    name: str
    oldest: float | None = None
    latest: float | None = None
    lines: tuple[str, ...] = ()


@record
class LogSent(Event):
    """`why` empty: it has arrived. `fault`: "denied" (the login), "malformed" (no location that can be used), or "";
    `why` in words, without a secret."""

    number: int
    why: str = ""
    fault: str = ""


@record
class DropLog(Errand):
    """Give up what is done for this number and remove its file; not answered."""

    number: int
