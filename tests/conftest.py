"""What holds for every test.

A run may be started as a shell's background job, which ignores Ctrl-C, and so would every process that a test starts:
the tests that send it would wait for ever. So Ctrl-C is what it is at a terminal.
"""

from __future__ import annotations

import signal

signal.signal(signal.SIGINT, signal.default_int_handler)
