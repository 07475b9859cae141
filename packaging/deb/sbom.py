"""What is in the package, as CycloneDX 1.5: `sbom.py WHEELS.TXT SITE`. The same input gives the same bytes.

Names and versions come from the wheels that were unpacked, hashes from the list by which they were fetched; if the two
disagree there is no bill.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from datetime import UTC, datetime
from importlib.metadata import Distribution, distributions
from os import environ
from pathlib import Path
from typing import Any

OURS = "chargepoint-agent"
PIN = re.compile(r"^([\w.-]+)==(\S+) --hash=sha256:([0-9a-f]{64})$", re.MULTILINE)
NAMES = {"BSD License": "BSD-3-Clause", "BSD": "BSD-3-Clause", "MIT License": "MIT"}  # to SPDX


def main() -> None:
    pins = {name: (version, digest) for name, version, digest in PIN.findall(Path(sys.argv[1]).read_text("utf-8"))}
    found = {_name(one): one for one in distributions(path=[sys.argv[2]])}
    packed = {name: one.version for name, one in found.items() if name != OURS}
    if packed != {name: version for name, (version, _digest) in pins.items()}:
        sys.exit(f"what is pinned ({pins}) is not what was unpacked ({packed})")
    print(json.dumps(_bill(found, pins), indent=1, sort_keys=True))


def _name(one: Distribution) -> str:
    return re.sub(r"[-_.]+", "-", str(one.metadata["Name"])).lower()


def _bill(found: dict[str, Distribution], pins: dict[str, tuple[str, str]]) -> dict[str, Any]:
    when = datetime.fromtimestamp(int(environ.get("SOURCE_DATE_EPOCH", "0")), UTC)
    ours = _component(OURS, found[OURS], "application")
    parts = [_component(name, found[name], "library", pins[name][1]) for name in sorted(pins)]
    identity = json.dumps([ours, parts], sort_keys=True)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, identity)}",
        "version": 1,
        "metadata": {"timestamp": when.isoformat().replace("+00:00", "Z"), "component": ours},
        "components": parts,
        "dependencies": [
            {"ref": ours["bom-ref"], "dependsOn": [part["bom-ref"] for part in parts]},
            *({"ref": part["bom-ref"], "dependsOn": []} for part in parts),
        ],
    }


def _component(name: str, one: Distribution, kind: str, digest: str = "") -> dict[str, Any]:
    purl = f"pkg:pypi/{name}@{one.version}"
    licence = next((str(one.metadata[key]) for key in ("License-Expression", "License") if key in one.metadata), "")
    component: dict[str, Any] = {"type": kind, "name": name, "version": one.version, "purl": purl, "bom-ref": purl}
    component["licenses"] = [{"license": {"id": NAMES.get(licence, licence)}}]
    if digest:
        component["hashes"] = [{"alg": "SHA-256", "content": digest}]
    return component


if __name__ == "__main__":
    main()
