"""Wheels into one folder: `unpack.py WHEELS FOLDER`.

Pure wheels need no installer: they are archives of what goes into site-packages. One that is not pure, or wants files
elsewhere, is refused.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

LEFT_OUT = (".c", ".pyi", ".md", ".rst")  # of no use where nothing is compiled, type-checked or read


def unpack(wheel: Path, into: Path) -> None:
    if not wheel.name.endswith("-none-any.whl"):
        sys.exit(f"{wheel.name}: is made for one kind of machine; the package is for all")
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            if ".data/" in name:
                sys.exit(f"{wheel.name}: {name} would have to go elsewhere")
            if not name.endswith(LEFT_OUT):
                archive.extract(name, into)


def main() -> None:
    wheels, into = map(Path, sys.argv[1:])
    for wheel in sorted(wheels.glob("*.whl")):
        unpack(wheel, into)


if __name__ == "__main__":
    main()
