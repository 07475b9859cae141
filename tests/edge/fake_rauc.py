"""RAUC as a script, over a folder that stands for the board: two slots, a boot loader that counts, and a reboot.

The folder holds `board.json`; `install` writes the slot that does not run and makes it the next one, as RAUC does with
activate-installed. A bundle is a JSON text: {"version": ..., "good": signature ok, "payload": ok while copied}.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

SCRIPT = """#!{python}
import sys
sys.path.insert(0, {root!r})
from tests.edge.fake_rauc import main
main({folder!r}, sys.argv[1:])
"""
FRESH = {
    "runs": "rootfs.0",
    "order": ["rootfs.0", "rootfs.1"],
    "left": {"rootfs.0": 3, "rootfs.1": 3},
    "versions": {"rootfs.0": "1.0", "rootfs.1": None},
    "busy": 0,
    "calls": [],
}
_BOOT = {"rootfs.0": "A", "rootfs.1": "B"}


def board(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "board.json").read_text())
    return found


def save(folder: Path, state: dict[str, Any]) -> None:
    new = folder / "board.new"
    new.write_text(json.dumps(state))
    new.replace(folder / "board.json")


def make(folder: Path) -> Path:
    """A board, and its `rauc`."""
    save(folder, FRESH)
    program = folder / "rauc"
    root = str(Path(__file__).parents[2])
    program.write_text(SCRIPT.format(python=sys.executable, root=root, folder=str(folder)))
    program.chmod(0o755)
    return program


def bundle(version: str = "2.0", good: bool = True, payload: bool = True) -> bytes:
    return json.dumps({"version": version, "good": good, "payload": payload}).encode()


def reboot(folder: Path) -> str:
    """The boot loader chooses; each start that nobody marks as good counts against the slot. The slot that runs now."""
    state = board(folder)
    slot = next(slot for slot in state["order"] if state["left"][slot] > 0 and state["versions"][slot])
    state["left"][slot] -= 1
    state["runs"] = slot
    save(folder, state)
    return str(slot)


def main(folder_name: str, argv: list[str]) -> None:
    folder = Path(folder_name)
    state = board(folder)
    state["calls"].append(argv)
    save(folder, state)
    verb = argv[0]
    if verb == "status" and "mark-good" in argv:
        state["left"][state["runs"]] = 3
        save(folder, state)
        print(f"rauc status: marked slot {state['runs']} as good")
    elif verb == "status":
        print(json.dumps(_status(state)))
    elif verb == "info":
        _info(argv[1])
        print("Verified inline signature by 'O=Example Charger Ltd'")
    elif verb == "install":
        _install(folder, state, argv[1])
    else:
        sys.exit(f"rauc: unknown command {verb}")


def _status(state: dict[str, Any]) -> dict[str, Any]:
    slots = [
        {
            slot: {
                "class": "rootfs",
                "type": "ext4",
                "bootname": _BOOT[slot],
                "state": "booted" if slot == state["runs"] else "inactive",
                "boot_status": "good" if state["left"][slot] else "bad",
            }
        }
        for slot in ("rootfs.1", "rootfs.0")
    ]
    first = next((slot for slot in state["order"] if state["left"][slot] > 0), None)
    return {"compatible": "Example-CP1", "booted": _BOOT[state["runs"]], "boot_primary": first, "slots": slots}


def _info(path: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(Path(path).read_bytes())
    except ValueError:
        sys.exit("signature size (0) is invalid, is this a bundle?")
    if not found["good"]:
        sys.exit("signature verification failed: Verify error: self-signed certificate in certificate chain")
    return found


def _install(folder: Path, state: dict[str, Any], path: str) -> None:
    if state["busy"]:
        state["busy"] -= 1
        save(folder, state)
        sys.exit("Failed Already processing a different method")
    found = _info(path)
    other = next(slot for slot in state["versions"] if slot != state["runs"])
    state["versions"][other], state["left"][other] = None, 0
    save(folder, state)  # a failed installation destroys what was there
    print("installing", flush=True)
    print(" 40% Copying image to rootfs", flush=True)
    if not found["payload"]:
        sys.exit("LastError: Failed updating slot: Error reading from file: Input/output error")
    state["versions"][other], state["left"][other] = found["version"], 3
    state["order"] = [other, state["runs"]]
    save(folder, state)
    print("100% Installing done.\nidle\nInstalling succeeded", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
