"""Handlers of vendors, honest and otherwise, in a real thread; and the example of the README."""

from __future__ import annotations

import re
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from agent.core.vendor import VendorAnswered, VendorData
from agent.vendors import LONGEST, MAX_SENDS, MAX_STUCK, Declared, Find, Handler, Vendors

README = Path(__file__).parents[2] / "agent" / "vendors" / "README.md"


def example() -> Handler:
    """The handler that the README shows."""
    code = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code[0], names)
    handler: Handler = names["handle"]
    return handler


def only(handler: Handler) -> Find:
    return {"com.example": handler}.get


async def ask(
    handler: Handler, message: str | None = "m", data: Any = None, vendor: str = "com.example"
) -> VendorAnswered:
    return await Vendors(only(handler)).handle(VendorData(vendor, message, data))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("SetTariffText", VendorAnswered("Accepted")),
        ("GetDoorState", VendorAnswered("Accepted", {"door": "closed"}, (("DoorAudit", {"asked": "x"}),))),
        ("Sing", VendorAnswered("UnknownMessageId")),
        (None, VendorAnswered("UnknownMessageId")),
    ],
)
async def test_the_example_of_the_manual_works(message: str | None, expected: VendorAnswered) -> None:
    assert await ask(example(), message, "x") == expected


async def test_a_vendor_that_nobody_declares_is_unknown() -> None:
    assert await ask(example(), vendor="org.nobody") == VendorAnswered("UnknownVendorId")


async def test_a_vendor_id_compares_without_regard_to_case() -> None:
    assert (await ask(example(), "SetTariffText", vendor="COM.Example")).status == "Accepted"


async def test_a_handler_that_raises_is_rejected_and_its_words_stay_inside() -> None:
    def handle(_message: str | None, data: Any) -> tuple[Any, ...]:
        raise KeyError(data)

    answer = await ask(handle, data="secret")
    assert answer.status == "Rejected"
    assert re.fullmatch(r"KeyError in handle, line \d+", answer.why)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "Accepted",
        ("Accepted",),
        ("Perhaps", None),
        ("UnknownVendorId", None),
        ("Accepted", object()),
        ("Accepted", float("nan")),
        ("Accepted", "\ud800"),
        ("Accepted", None, 7),
        ("Accepted", None, [("only one",)]),
        ("Accepted", "x" * LONGEST),
        ("Accepted", None, [("m", None)] * (MAX_SENDS + 1)),
        ("Accepted", None, [("m", "x" * LONGEST)]),
    ],
    ids=lambda answer: repr(answer)[:30],
)
async def test_an_answer_that_is_none_or_too_large_is_rejected(answer: Any) -> None:
    told = await ask(lambda _message, _data: answer)
    assert told.status == "Rejected" and told.why and told.sends == ()


async def test_a_handler_that_hangs_is_rejected_and_the_next_message_is_answered() -> None:
    free = threading.Event()

    def handle(message: str | None, _data: Any) -> tuple[Any, ...]:
        return ("Accepted", free.wait(60)) if message == "hang" else ("Accepted", "well")

    vendors = Vendors(only(handle), deadline_s=0.2)
    hung = await vendors.handle(VendorData("com.example", "hang"))
    well = await vendors.handle(VendorData("com.example", "other"))
    free.set()
    assert hung == VendorAnswered("Rejected", why="no answer within 0.2 s")
    assert well == VendorAnswered("Accepted", "well")


async def test_after_some_that_hang_no_handler_is_asked() -> None:
    free = threading.Event()
    asked: list[int] = []

    def handle(_message: str | None, _data: Any) -> tuple[Any, ...]:
        asked.append(1)
        return "Accepted", free.wait(60)

    vendors = Vendors(only(handle), deadline_s=0.05)
    for _ in range(MAX_STUCK + 2):
        assert (await vendors.handle(VendorData("com.example"))).status == "Rejected"
    free.set()
    assert len(asked) == MAX_STUCK


def test_a_package_declares_its_handler_by_an_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "example_charger.py").write_text(re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)[0])
    info = tmp_path / "example_charger-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: example-charger\nVersion: 1.0\n")
    declared = re.findall(r"```toml\n.*?\n(\[.*?)```", README.read_text(), re.DOTALL)[0]
    group, line = declared.replace('"', "").removeprefix("[project.entry-points.").split("]\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{line}")
    monkeypatch.syspath_prepend(str(tmp_path))
    handler = Declared().find("com.example")
    sys.modules.pop("example_charger", None)
    assert handler is not None and handler("SetTariffText", None) == ("Accepted", None)
