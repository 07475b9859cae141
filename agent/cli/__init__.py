"""The technician's side of the command `chargepoint`: one module a verb, each with `main(argv) -> exit code`.

They talk to the running agent through its control socket and share nothing with it but the configuration's words.
"""

from __future__ import annotations

import argparse
from typing import NoReturn

from agent.errors import Exit


class Parser(argparse.ArgumentParser):
    """As argparse, with a mistake told in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(Exit.USAGE, f"{self.prog}: {message}\n")
