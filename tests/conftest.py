"""What holds for every test.

A run may be started as a shell's background job, which ignores Ctrl-C, and so would every process that a test starts:
the tests that send it would wait for ever. So Ctrl-C is what it is at a terminal.

No example of a property has a deadline of its own: a busy processor, or the first example that loads what is needed, is
no failure. `timeout` in pyproject.toml ends what hangs.
"""

from __future__ import annotations

import signal

from hypothesis import settings

signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
