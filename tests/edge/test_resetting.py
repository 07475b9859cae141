"""A factory reset removes what was remembered and nothing else, or is not done at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent import resetting
from agent.config import Config, load
from agent.core.effects import Record
from agent.errors import StoreError
from agent.log import Log
from agent.store.store import Store
from tests.end_to_end.agent_helpers import Plan
from tests.store.scenes import ended, started


class Paper:
    def __init__(self) -> None:
        self.text = ""

    def __call__(self, _priority: int, message: str, _fields: dict[str, str]) -> bool:
        self.text += f"{message}\n"
        return True


@pytest.fixture
def paper() -> Paper:
    return Paper()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    ca = tmp_path / "memory" / "certificates" / "operator.pem"
    ca.parent.mkdir(parents=True)
    ca.write_text("-")
    file = tmp_path / "agent.toml"
    lines = f'security_profile = 2\nca_file = "{ca}"\npassword = "0123456789abcdef"'
    file.write_text(Plan(("1.6",), csms_lines=lines).text(tmp_path, "wss://127.0.0.1:1"))
    return load(str(file))


def fill(config: Config, *effects: Record) -> Path:
    folder = Path(config.storage.dir)
    store = Store(folder / "chargepoint.db", fast=True)
    store.open("")
    store.commit(effects)
    store.close()
    (folder / "recorder").mkdir()
    (folder / "recorder" / "00000001.cpfr").write_bytes(b"x")
    (folder / "certificates" / "key.pem").write_text("-")
    (folder / "known_hosts").write_text("-")
    (folder / "notes-of-the-technician.txt").write_text("-")
    return folder


def left(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_what_was_remembered_goes_and_what_is_configured_stays(config: Config, paper: Paper) -> None:
    folder = fill(config)
    resetting.order(config, "anna", "returned to stock", discard=False)
    resetting.carry_out(config, Log(paper))
    assert left(folder) == {"certificates/operator.pem", "notes-of-the-technician.txt"}
    assert "FactoryReset: ordered by anna" in paper.text
    assert "returned to stock" in paper.text


OPEN, WAITING = (started("t"),), (started("t"), ended("t", 1))


@pytest.mark.parametrize(
    ("effects", "discard", "why"),
    [(OPEN, True, "a transaction is open"), (WAITING, False, "transactions wait for the CSMS")],
    ids=["in a transaction", "undelivered"],
)
def test_nothing_is_removed_when_a_bill_depends_on_it(
    config: Config, paper: Paper, effects: tuple[Record, ...], discard: bool, why: str
) -> None:
    folder = fill(config, *effects)
    before = left(folder)
    resetting.order(config, "anna", "x", discard)
    resetting.carry_out(config, Log(paper))
    assert left(folder) | {"chargepoint.db.reserve"} == before | {"chargepoint.db.reserve"}
    assert why in paper.text
    assert "FAULT=factory-reset" in paper.text


def test_while_another_agent_has_the_store_the_order_waits(config: Config, paper: Paper) -> None:
    folder = fill(config)
    resetting.order(config, "anna", "x", discard=False)
    other = Store(folder / "chargepoint.db", fast=True)
    other.open("")
    with pytest.raises(StoreError, match="busy"):
        resetting.carry_out(config, Log(paper))
    other.close()
    assert "chargepoint.db" in left(folder)
    resetting.carry_out(config, Log(paper))
    assert "chargepoint.db" not in left(folder)


def test_undelivered_transactions_go_when_they_may(config: Config, paper: Paper) -> None:
    folder = fill(config, *WAITING)
    resetting.order(config, "anna", "x", discard=True)
    resetting.carry_out(config, Log(paper))
    assert "chargepoint.db" not in left(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"by": "x"})])
def test_an_order_that_cannot_be_read_does_nothing_and_is_gone(config: Config, paper: Paper, text: str) -> None:
    folder = fill(config)
    (folder / "factory-reset").write_text(text)
    resetting.carry_out(config, Log(paper))
    assert "chargepoint.db" in left(folder)
    assert "factory-reset" not in left(folder)
