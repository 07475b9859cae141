"""Everything that may go wrong, as one tree, and what the process says when it ends.

    Exception
    └── AgentError               one plain line for a technician; `exit_code` if it ends the process
        ├── ConfigError          the operator's fault: file, table, key, what was expected           (exit 78)
        ├── RpcError             the peer's fault: a frame that gets a CALLERROR
        ├── NotRunning           a command found no agent on the control socket                      (exit 69)
        └── OperatingFault       the world's fault; becomes an event before the core sees it
            ├── LinkError        the way to the CSMS: address, certificate, connection
            ├── StoreError       disk full, read-only, damaged
            ├── TransferError    a file that could not be fetched or delivered
            └── ControlError     the control socket could not be opened

Rules: a refusal (invalid token, profile not allowed) is a value and never an exception; a bug is an `assert` and ends
the process; hardware raises `drivers.api.DriverError`, which is not ours to extend. `str()` of every error here is one
line, holds no secret, and is fit to be shown as it is.

What the process says when it ends (`Exit`); the service manager starts it again after every one of them:

| code | meaning                                                                                  |
|------|------------------------------------------------------------------------------------------|
| 0    | ended because it was asked to (SIGTERM, or a command that did its work)                  |
| 1    | failed: a bug, or a fault that the line on stderr names                                  |
| 2    | the command line was wrong                                                               |
| 69   | the agent is not running (commands that talk to it)                                      |
| 78   | the configuration is wrong; one line on stderr says where                                |
| 82   | the CSMS ordered a soft reset (1.6 Soft, 2.0.1 OnIdle): transactions were ended first    |
| 83   | the CSMS ordered a hard reset (1.6 Hard, 2.0.1 Immediate); a configured command may follow |
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    OK = 0
    FAILURE = 1
    USAGE = 2
    NOT_RUNNING = 69  # EX_UNAVAILABLE
    CONFIG = 78  # EX_CONFIG
    SOFT_RESET = 82
    HARD_RESET = 83


class AgentError(Exception):
    """Any failure that this project names."""

    exit_code = Exit.FAILURE


class ConfigError(AgentError):
    """A value in a configuration file that cannot be used; `table` and `key` are empty if the file itself is wrong."""

    exit_code = Exit.CONFIG

    def __init__(self, file: str, table: str, key: str, expected: str) -> None:
        super().__init__(file, table, key, expected)
        self.file, self.table, self.key, self.expected = file, table, key, expected

    def __str__(self) -> str:
        where = [self.file]
        if self.table:
            where.append(f"[{self.table}]")
        if self.key:
            where.append(self.key)
        return " ".join(f"{' '.join(where)}: {self.expected}".split())


class RpcError(AgentError):
    """A frame that we refuse: `code` is the CALLERROR code of the version in use, `why` its description."""

    def __init__(self, code: str, why: str = "") -> None:
        super().__init__(code, why)
        self.code, self.why = code, why

    def __str__(self) -> str:
        return f"{self.code}: {self.why}" if self.why else self.code


class NotRunning(AgentError):
    """Nobody answers on the control socket."""

    exit_code = Exit.NOT_RUNNING


class OperatingFault(AgentError):
    """Something outside this process failed; the agent goes on."""


class LinkError(OperatingFault):
    """The way to the CSMS cannot be used as configured."""


class StoreError(OperatingFault):
    """What must be remembered cannot be written or read."""


class TransferError(OperatingFault):
    """A file could not be fetched or delivered. `permanent`: trying the same again cannot help; `denied`: the server
    does not want us."""

    def __init__(self, why: str, permanent: bool = False, denied: bool = False) -> None:
        super().__init__(why)
        self.permanent, self.denied = permanent, denied


class ControlError(OperatingFault):
    """The control socket cannot be opened."""
