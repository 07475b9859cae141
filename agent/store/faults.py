"""What can be wrong with the place where things are stored, as one exception with a word that policy can decide by.

| kind       | meaning                                              | what helps                                    |
|------------|------------------------------------------------------|-----------------------------------------------|
| "full"     | no space on the disk, or past the file's own bound   | delivering rows; the same call later          |
| "readonly" | the file system takes no writes                      | the same call later                           |
| "io"       | the medium refused a read or a write                 | the same call later                           |
| "corrupt"  | pages make no sense                                  | a restart: `Store.open` salvages              |
| "busy"     | another process has the file open                    | ending the other agent                        |
| "newer"    | written by a later release of this software          | that release                                  |

Any other complaint of SQLite is a bug of ours and is not translated.
"""

from __future__ import annotations

import errno
import sqlite3

from agent.errors import StoreError

_PRIMARY = 0xFF  # SQLite's extended result codes carry the primary one in the low byte
_KINDS = {
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_READONLY: "readonly",
    sqlite3.SQLITE_PERM: "readonly",
    sqlite3.SQLITE_IOERR: "io",
    sqlite3.SQLITE_CANTOPEN: "io",
    sqlite3.SQLITE_CORRUPT: "corrupt",
    sqlite3.SQLITE_NOTADB: "corrupt",
    sqlite3.SQLITE_BUSY: "busy",
    sqlite3.SQLITE_LOCKED: "busy",
}
_ERRNOS = {
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.EFBIG: "full",
    errno.EROFS: "readonly",
    errno.EACCES: "readonly",
    errno.EPERM: "readonly",
}


class StoreFault(StoreError):
    """Nothing of the call took effect, and nothing that was stored is harmed."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(kind, why)
        self.kind, self.why = kind, why

    def __str__(self) -> str:
        return f"{self.kind}: {self.why}"


Cause = sqlite3.Error | OSError | UnicodeDecodeError


def translate(error: Cause) -> StoreFault | None:
    """The fault behind an exception, None when it is a bug."""
    if isinstance(error, UnicodeDecodeError):
        return StoreFault("corrupt", "SQLite complains of something whose very name is damaged")
    if isinstance(error, OSError):
        return StoreFault(_ERRNOS.get(error.errno or 0, "io"), error.strerror or str(error))
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        # "file is not a database" and the like sometimes come from Python's own layer, without a code
        return StoreFault("corrupt", str(error)) if type(error) is sqlite3.DatabaseError else None
    kind = _KINDS.get(code & _PRIMARY)
    return StoreFault(kind, str(error)) if kind else None
