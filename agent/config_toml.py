"""Reading configuration files: TOML with drop-ins into one tree, and taking checked values out of it.

Knows no key of ours: `agent.config_keys` says which there are, `agent.config` what they mean together. Rules kept:

* Every mistake is a `ConfigError` of one line that names the file (the drop-in, if it stands there), table and key.
* `conf.d/*.toml` beside the file are read after it in the order of their names. A table is merged key by key; a member
  of a list of tables is merged into the one with the same name (`IDENTITY`), else added.
* A secret is never part of a message.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from agent.errors import ConfigError

MAX_FILE_BYTES = 1024 * 1024
MAX_DROP_INS = 64
MAX_SHOWN = 40  # characters of a wrong value in a message
HUGE = 10**20
DROP_INS = "conf.d"
CREDENTIAL = "$CREDENTIALS_DIRECTORY/cp_"  # what the unit's LoadCredential=cp:... makes of credentials/
IDENTITY = {"bus": "name", "io": "name", "evse": "id", "reader": "port"}  # what names a member of a list of tables

REQUIRED: Any = object()


class Key:
    """One key of a table: what it must be in words, how it is checked and turned into a value, and its default.

    `convert` returns None for a value that does not fit; `expected` completes the sentence "expected ..."."""

    __slots__ = ("convert", "default", "expected", "secret")

    def __init__(
        self, expected: str, convert: Callable[[Any], Any], default: Any = REQUIRED, *, secret: bool = False
    ) -> None:
        self.expected, self.convert, self.default, self.secret = expected, convert, default, secret


class Table:
    """One TOML table. `name` as it is told to people: "csms", "evse.1.meter", "bus #2"."""

    __slots__ = ("_origins", "data", "file", "name")

    def __init__(self, file: str, name: str, data: dict[str, Any], origins: Origins) -> None:
        self.file, self.name, self.data, self._origins = file, name, data, origins

    def error(self, key: str, expected: str) -> ConfigError:
        return ConfigError(self.origin(key), self.name, key, expected)

    def fail(self, key: str, expected: str) -> NoReturn:
        raise self.error(key, expected)

    def origin(self, key: str) -> str:
        """The file in which the key stands."""
        return self._origins.get((id(self.data), key), self.file)

    def values(self, keys: Mapping[str, Key], tables: tuple[str, ...] = ()) -> dict[str, Any]:
        """The value of every key, checked; `tables` are the keys which hold tables and are taken elsewhere."""
        for key in self.data:
            if key not in keys and key not in tables:
                self.fail(key, f"unknown key; {hint(key, (*keys, *tables))}")
        return {key: self._value(key, rule) for key, rule in keys.items()}

    def _value(self, key: str, rule: Key) -> Any:
        if key not in self.data:
            if rule.default is REQUIRED:
                self.fail(key, f"missing; expected {rule.expected}")
            return rule.default
        value = rule.convert(self.data[key])
        if value is None:
            shown = "but this is something else" if rule.secret else f"not {show(self.data[key])}"
            self.fail(key, f"expected {rule.expected}, {shown}")
        return value

    def table(self, key: str, name: str = "") -> Table:
        """The table under this key; an empty one if there is none."""
        name = name or (f"{self.name}.{key}" if self.name else key)
        data = self.data.get(key, {})
        if not isinstance(data, dict):
            what = "one table, not a list of them" if isinstance(data, list) else f"a table, not {show(data)}"
            raise ConfigError(self.origin(key), name, "", f"expected {what}")
        return Table(self.origin(key), name, data, self._origins)

    def tables(self, key: str) -> list[Table]:
        """The list of tables under this key, each called by its position until somebody knows it better."""
        found = self.data.get(key, [])
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise ConfigError(self.origin(key), key, "", f"expected [[{key}]] in double brackets, once for each")
        return [self._member(key, number, item) for number, item in enumerate(found, 1)]

    def _member(self, key: str, number: int, item: dict[str, Any]) -> Table:
        file = self._origins.get((id(item), ""), self.origin(key))
        return Table(file, f"{key} #{number}", item, self._origins)

    def only(self, tables: tuple[str, ...]) -> None:
        """Complain about a table that is not among these, or a key outside of all tables."""
        for key, value in self.data.items():
            if key in tables:
                continue
            if isinstance(value, dict | list):
                raise ConfigError(self.origin(key), key, "", f"unknown table; {hint(key, tables)}")
            self.fail(key, f"stands outside of every table; the tables are {', '.join(tables)}")


# Which file a key came from, by the identity of its table in the merged tree; "" stands for the table itself.
Origins = dict[tuple[int, str], str]


def read_one(path: Path) -> Table:
    """One file that has no drop-ins."""
    return Table(str(path), "", _parse(path), {})


def read(path: Path) -> tuple[Table, tuple[Path, ...]]:
    """The file and its drop-ins as one table, and the files read."""
    origins: Origins = {}
    merged = _parse(path)
    files = (path, *_drop_ins(path))
    for file in files[1:]:
        _merge(merged, _parse(file), str(file), origins)
    return Table(str(path), "", merged, origins), files


def _drop_ins(path: Path) -> list[Path]:
    folder = path.parent / DROP_INS
    try:
        found = sorted(each for each in folder.iterdir() if each.name.endswith(".toml"))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise _unreadable(folder, error) from None
    if len(found) > MAX_DROP_INS:
        raise ConfigError(str(folder), "", "", f"holds {len(found)} files; at most {MAX_DROP_INS} are read")
    return found


def _unreadable(path: Path, error: OSError) -> ConfigError:
    denied = isinstance(error, PermissionError)
    remedy = "; the agent's group must be able to read it, and you be in that group, or use sudo" if denied else ""
    return ConfigError(str(path), "", "", f"cannot be read: {error.strerror or error}{remedy}")


def _parse(path: Path) -> dict[str, Any]:
    import tomli

    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, error) from None
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError(str(path), "", "", f"is longer than {MAX_FILE_BYTES} bytes")
    try:
        return tomli.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(str(path), "", "", f"line {line}: is not UTF-8 text") from None
    except tomli.TOMLDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ConfigError(str(path), "", "", f"{where}: is not TOML: {error.msg}") from None
    except (ValueError, RecursionError):  # a number of thousands of digits, brackets nested without end
        raise ConfigError(str(path), "", "", "is not TOML that can be read") from None


def _merge(base: dict[str, Any], more: dict[str, Any], file: str, origins: Origins, depth: int = 0) -> None:
    for key, value in more.items():
        old = base.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            _merge(old, value, file, origins, depth + 1)
        elif depth == 0 and key in IDENTITY and _is_list_of_tables(value) and _is_list_of_tables(old):
            _merge_members(old, value, IDENTITY[key], file, origins)
        else:
            base[key] = value
            origins[id(base), key] = file


def _merge_members(old: Any, more: Any, identity: str, file: str, origins: Origins) -> None:
    waiting = [item for item in old if identity in item]  # each takes one namesake, so that doubles stay doubles
    for item in more:
        namesake = next((one for one in waiting if one[identity] == item.get(identity)), None)
        if namesake is None:
            old.append(item)
            origins[id(item), ""] = file
        else:
            waiting = [one for one in waiting if one is not namesake]
            _merge(namesake, item, file, origins, 1)


def _is_list_of_tables(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def plain_texts(table: Table, at_most: int, longest: int) -> dict[str, str]:
    """All as text. `A.B = 1` without quotes is a table in TOML; it means the same as `"A.B" = 1` here."""
    found: dict[str, str] = {}
    for key, value in table.data.items():
        inner = {f"{key}.{name}": item for name, item in value.items()} if isinstance(value, dict) else {key: value}
        for name, item in inner.items():
            text = _as_text(item, longest)
            if text is None:
                table.fail(name, "expected a text, a number, true or false, or a list of texts")
            if name in found:
                table.fail(name, "is set twice")
            found[name] = text
    if len(found) > at_most:
        raise ConfigError(table.file, table.name, "", f"{len(found)} of them; at most {at_most} are possible")
    return found


def _as_text(value: object, longest: int) -> str | None:
    if isinstance(value, list):
        parts = [_as_text(part, longest) for part in value if not isinstance(part, list)]
        whole = [part for part in parts if part is not None]
        text = ",".join(whole) if len(whole) == len(value) else None
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, int | float | str):
        text = value if isinstance(value, str) else str(value) if abs(value) < HUGE else None
    else:
        text = None
    return text if text is not None and len(text) <= longest and text.isprintable() else None


def show(value: object) -> str:
    """A wrong value in a message: as one would write it, and not long."""
    if isinstance(value, str):
        text = '"' + "".join(c if c.isprintable() else "?" for c in value[: MAX_SHOWN + 1]) + '"'
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, dict):
        return "a table"
    elif isinstance(value, int) and abs(value) >= HUGE:
        text = "a number without end"  # Python itself would refuse to write it
    elif isinstance(value, list):
        flat = all(not isinstance(item, list) for item in value)
        text = "[" + ", ".join(show(item) for item in value[:8]) + "]" if flat else "a list of lists"
    else:
        text = str(value)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "..."


def with_paths(values: dict[str, Any], where: Path, *keys: str) -> dict[str, Any]:
    """The same with these keys as whole paths."""
    return values | {key: str(place(values[key], where)) for key in keys if values[key] is not None}


def place(name: str, where: Path) -> Path:
    """A path of the configuration, counted from `where`, the folder of the file. $CREDENTIALS_DIRECTORY is where the
    service manager puts copies of secrets; whoever is not the service finds the secrets themselves beside the file."""
    if "CREDENTIALS_DIRECTORY" not in os.environ and name.startswith(CREDENTIAL):
        return where / "credentials" / name.removeprefix(CREDENTIAL)
    return where / os.path.expandvars(name)


def hint(word: str, known: tuple[str, ...], otherwise: str = "") -> str:
    """What may have been meant; else `otherwise`, or all that is known."""
    from difflib import get_close_matches  # only in case of a mistake

    by_lower = {name.lower(): name for name in known}
    close = get_close_matches(word[:100].lower(), by_lower, n=1)
    return f"did you mean {by_lower[close[0]]}?" if close else otherwise or f"known are {', '.join(known)}"
