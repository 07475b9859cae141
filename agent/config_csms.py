"""[csms] of the configuration: where the central systems are, and who we are to them.

[csms] is the preferred one, each [[csms.fallback]] the next. Checked here: what the keys mean together.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.config_keys import CSMS, FALLBACK
from agent.config_toml import Table, place, with_paths
from agent.core.record import record, replace
from agent.errors import ConfigError

if TYPE_CHECKING:
    from agent.ocpp.quirks import Quirks

MAX_PASSWORD_BYTES = 128
MAX_FALLBACKS = 3
_FILES = ("ca_file", "client_certificate_file", "client_key_file")


@record
class CsmsConfig:
    """Where one central system is, and who we are to it."""

    _hidden = ("password",)

    url: str
    identity: str
    versions: tuple[str, ...]  # in order of preference
    user: str | None  # None: the identity
    password: str | bytes | None  # bytes when it was written in hex
    password_form: str = "text"  # noqa: S105  how it is to be taken; "try": the link finds out
    ca_file: str | None = None
    client_certificate_file: str | None = None
    client_key_file: str | None = None
    security_profile: int | None = None  # None: what follows from the rest
    accept_without_subprotocol: bool = False
    quirks: Quirks | None = None  # None: everything is told as the specification has it
    quirks_dir: str = "quirks"
    fallback: tuple[CsmsConfig, ...] = ()

    @property
    def subprotocols(self) -> tuple[str, ...]:
        return tuple(f"ocpp{version}" for version in self.versions)

    @property
    def security(self) -> int:
        """0: nothing, 1: password, 2: password over TLS, 3: a certificate of ours over TLS."""
        if self.security_profile is not None:
            return self.security_profile
        secure = self.url.startswith("wss:")
        if secure and self.client_certificate_file is not None:
            return 3
        return 0 if self.password is None else 2 if secure else 1


def take_csms(table: Table, where: Path) -> tuple[CsmsConfig, list[str]]:
    """[csms] with its fallbacks, and what is odd about them."""
    values = with_paths(table.values(CSMS, ("fallback",)), where, *_FILES)
    _take_quirks(table, values, where)
    main, warnings = _one(table, values, where)
    tables = table.tables("fallback")
    if len(tables) > MAX_FALLBACKS:
        what = f"{len(tables)} of them; at most {MAX_FALLBACKS} are possible"
        raise ConfigError(tables[MAX_FALLBACKS].file, "csms.fallback", "", what)
    found = []
    for other in tables:
        other.name = f"csms.{other.name}"
        inner = with_paths(other.values(FALLBACK), where, *_FILES)
        for key in ("identity", "versions"):
            inner[key] = inner[key] if inner[key] is not None else values[key]
        one, more = _one(other, inner, where)
        if one.security < main.security:
            text = (
                f"warning: has security profile {one.security}, and [csms] has {main.security}: who cuts that off gains"
            )
            more.append(str(other.error("url", text)))
        found.append(one)
        warnings += more
    return _with(main, fallback=tuple(found)), warnings


def _with(csms: CsmsConfig, **changes: Any) -> CsmsConfig:
    return replace(csms, **changes) if any(changes.values()) else csms


def _one(table: Table, values: dict[str, Any], where: Path) -> tuple[CsmsConfig, list[str]]:
    warnings: list[str] = []
    password = _password(table, values, where)
    if password is not None and ":" in (values["user"] or values["identity"]):
        table.fail("user", 'missing or unfit; a user with a colon cannot log in by password, add user = "..."')
    _check_files(table, values)
    if values["ca_file"] is not None and values["url"].startswith("ws:"):
        warnings.append(_warning(table, "ca_file", "has no effect with ws://, only with wss://"))
    if values["password"] is not None and _is_public(table.origin("password")):
        warnings.append(_warning(table, "password", "everybody on this system can read this file; chmod o-r"))
    kept = {key: value for key, value in values.items() if key != "password_file"}
    csms = CsmsConfig(**kept | {"password": password})
    _check_profile(table, csms)
    return csms, warnings


def _check_files(table: Table, values: dict[str, Any]) -> None:
    for key in _FILES:
        if values[key] is not None and not Path(values[key]).is_file():
            table.fail(key, f"no such file: {values[key]}")
    if values["client_key_file"] is not None and values["client_certificate_file"] is None:
        table.fail("client_certificate_file", "missing; there is a client_key_file, which is of no use alone")
    if values["client_key_file"] is None:
        values["client_key_file"] = values["client_certificate_file"]  # one file may hold both


def _check_profile(table: Table, csms: CsmsConfig) -> None:
    if csms.security_profile is None:
        return
    if csms.security >= 2 and csms.url.startswith("ws:"):
        table.fail("security_profile", f"{csms.security} is over TLS, but the url begins with ws://")
    if csms.security in (1, 2) and csms.password is None:
        table.fail("security_profile", f"{csms.security} is by password; add password or password_file")
    if csms.security == 0 and csms.password is not None:
        table.fail("security_profile", "0 is without a password; remove password, or use 1 or 2")


def _take_quirks(table: Table, values: dict[str, Any], where: Path) -> None:
    if values["quirks"]:
        from agent.config_quirks import take

        take(table, values, where)
    else:
        values |= {"quirks": None, "quirks_dir": str(where / values["quirks_dir"])}


def _password(table: Table, values: Mapping[str, Any], where: Path) -> str | bytes | None:
    text, file, form = values["password"], values["password_file"], values["password_form"]
    if text is not None and file is not None:
        table.fail("password_file", "there is a password as well; use one of the two")
    if file is not None:
        text = _read_password(table, file, where)
    if text is None or form != "hex":
        return text  # type: ignore[no-any-return]
    try:
        return bytes.fromhex(text)
    except ValueError:
        table.fail("password_form", "is hex, but the password has other characters than pairs of 0-9 and A-F")


def _read_password(table: Table, name: str, where: Path) -> str:
    path = place(name, where)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_PASSWORD_BYTES + 2).removesuffix(b"\n")
    except OSError as error:
        table.fail("password_file", f"{path} cannot be read: {error.strerror or error}")
    except ValueError:
        table.fail("password_file", "is not a path")
    text = raw.decode("utf-8", "replace")
    if not text or len(raw) > MAX_PASSWORD_BYTES or not text.isprintable() or "\ufffd" in text:
        table.fail("password_file", f"{path} must hold one line of 1 to {MAX_PASSWORD_BYTES} printable characters")
    return text


def _is_public(file: str) -> bool:
    return bool(Path(file).stat().st_mode & 0o004)


def _warning(table: Table, key: str, text: str) -> str:
    return str(table.error(key, f"warning: {text}"))
