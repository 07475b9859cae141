"""DataTransfer through the whole agent: the handler of the manual, a package of its own, answers and sends."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.end_to_end.agent_helpers import ROOT, charger

MANUAL = ROOT / "agent" / "vendors" / "README.md"


def install(folder: Path) -> None:
    """As pip would leave the package of the manual."""
    manual = MANUAL.read_text()
    code = re.findall(r"```python\n(.*?)```", manual, re.DOTALL)[0]
    (folder / "example_charger.py").write_text(code)
    info = folder / "example_charger-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: example-charger\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[chargepoint.data_transfer]\ncom.example = example_charger:handle\n")


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_the_handler_of_a_vendors_package_answers_and_sends(version: str, tmp_path: Path) -> None:
    install(tmp_path)
    async with charger(version, start=False) as c:
        c.environ["PYTHONPATH"] = f"{ROOT}:{tmp_path}"
        await c.start()
        await c.ready()
        mark = c.csms.mark()
        asked = {"vendorId": "com.example", "messageId": "GetDoorState", "data": "front"}
        answer = await c.csms.call("DataTransfer", asked)
        door = '{"door":"closed"}' if version == "1.6" else {"door": "closed"}
        assert answer == {"status": "Accepted", "data": door}
        audit = '{"asked":"front"}' if version == "1.6" else {"asked": "front"}
        sent = await c.csms.hear("DataTransfer", mark)
        assert sent == {"vendorId": "com.example", "messageId": "DoorAudit", "data": audit}
        unknown = await c.csms.call("DataTransfer", {"vendorId": "com.example", "messageId": "Sing"})
        assert unknown["status"] == "UnknownMessageId"
