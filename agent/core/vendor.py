"""Words of data transfer: what is handed to the code of a vendor, and what comes back."""

from __future__ import annotations

from typing import Any

from agent.core.effects import DataSend, Errand
from agent.core.events import Event
from agent.core.record import record


@record
class VendorData(Errand):
    """Let the handler of this vendor look at a message; answered by `VendorAnswered`."""

    vendor: str
    message: str | None = None
    data: Any = None


@record
class VendorAnswered(Event):
    """`status` as in `DataAnswer`. `sends`: messages (id, data) that the vendor wants to send to the CSMS now. `why`:
    what was wrong with the handler, for the log."""

    status: str
    data: Any = None
    sends: tuple[tuple[str | None, Any], ...] = ()
    why: str = ""


@record
class DataAnswered(Event):
    """The CSMS has answered a `DataSend`, in its own words."""

    call: DataSend
    status: str
    data: Any = None
