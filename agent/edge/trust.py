"""Trust and keys as data on disk: who may vouch for the CSMS and for firmware, and who we are.

    csms/NAME.pem           a root that may vouch for the CSMS; NAME.used beside it: the link has stood on it
    csms/NAME.issuer        the key bits of its issuer, where the certificate does not hold them itself
    manufacturer/NAME.pem   a root that may vouch for firmware
    own/NUMBER.pem, .key    a chain of ours (leaf first) and its private key; the greatest number is the newest
    pending/NUMBER.key      keys whose certificate has been asked for and has not come yet
    csms-roots.pem          all of csms/ in one file, for TLS

Rules kept: folders are 0700, files 0600, and a private key is in no other place; a file appears whole (written beside,
synced, renamed) or not at all; what is named otherwise is left alone. Nothing here knows X.509: see `certificates`.

Trust that came from afar must not lock the charger out. Until a link has stood on an installed root, a refusal by TLS
leads back to the trust from before (the configuration's), and the next one forth again, in turns. A new
certificate of ours is first tried alone by `blocks.network`; when that gives it up, the one before is shown again, and
once a link stands on that, what was tried in vain is removed. Should the one that counts be refused some day, all take
turns (in the end with the one that the charger was made with), and the one on which a link stands remains.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from agent.core.network import MADE_WITH
from agent.errors import OperatingFault

KINDS = {"CSMSRoot": "csms", "ManufacturerRoot": "manufacturer"}
MAX_FILE_BYTES = 64 * 1024
MAX_PENDING = 3  # a certificate may come late, for a key that has been asked for again meanwhile
MAX_OWN = 4
NAME_LENGTH = 32
SPARE = 0  # the number of the certificate that the charger was made with
_END = "-----END CERTIFICATE-----"
BUNDLE = "csms-roots.pem"


class TrustError(OperatingFault):
    """What is to be trusted cannot be read or written."""


class Trust:
    """`client_certificate` and `csms_ca_file` are asked before each dial, and then told by `refused` or `stands`."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.changes = 0
        self._doubted = False  # TLS has refused the CSMS as vouched for by roots on which no link has stood yet
        self._gave_roots = False
        self._gave: int | None = None
        self._vain: set[int] | None = None  # tried, and not kept; None: nothing was shown yet by this process
        self._passed_over: set[int] = set()
        self._bundled = False
        self.trouble = ""  # why the two for the link had to do without the disk; "" when all is well
        self.in_use: frozenset[str] = frozenset()  # roots on which the link stands; all, until it is known which

    # --- for the link -------------------------------------------------------------------------------------------

    def client_certificate(
        self, *, spare: bool = False, mark: str = "", alone: bool = False, coming: str = ""
    ) -> tuple[str, str] | None:
        """The files of the chain and of the key to show to the CSMS; None: there is no certificate of ours, or it is
        the turn of the `spare` one that the charger was made with. `mark`: the one that counts, by the name of its
        leaf, or `MADE_WITH`; "" the newest. `alone`: it is on trial, and no other takes its turn. `coming`: this one
        is still to be tried."""
        try:
            numbers = self.own()
            wanted = next((n for n in reversed(numbers) if mark and self._mark(n) == mark), None)
        except TrustError as error:
            self.trouble, numbers, wanted = str(error), [], None
        counts = SPARE if mark == MADE_WITH else wanted
        if self._vain is None:  # what is newer than what counts was given up before this process began
            given_up = {n for n in numbers if counts is not None and n > counts}
            self._vain = {n for n in given_up if not coming or self._mark(n) != coming}
        if alone and wanted is not None:
            self._vain.add(wanted)
            self._gave = wanted
        else:
            self._gave = self._turn([SPARE, *numbers] if spare else numbers, counts)
        if not self._gave:
            return None
        chain = self._own_file(self._gave, "pem")
        return str(chain), str(chain.with_suffix(".key"))

    def _turn(self, numbers: list[int], counts: int | None) -> int | None:
        left = [number for number in numbers if number not in self._passed_over]
        if not left:
            self._passed_over.clear()
        return counts if counts in (left or numbers) else max(left or numbers, default=None)

    def _mark(self, number: int) -> str:
        try:
            return name_of(ssl.PEM_cert_to_DER_cert(self.own_chain(number).decode("ascii").partition(_END)[0] + _END))
        except ValueError:
            return ""  # damaged: whoever shows it says so

    def csms_ca_file(self) -> str | None:
        """The file of installed roots that may vouch for the CSMS as well; None: those of the configuration or the
        system alone."""
        try:
            names = self.names("CSMSRoot")
            if names and not self._bundled:  # a power cut may have left an older one
                self._bundle()
        except TrustError as error:
            self.trouble, names = str(error), []
        proven = any(self.proven(name) for name in names)
        self._gave_roots = bool(names) and (proven or not self._doubted)
        self.in_use = frozenset(names if self._gave_roots else ())
        return str(self.folder / BUNDLE) if self._gave_roots else None

    def refused(self, *, ours: bool) -> None:
        """A dial ended in TLS. `ours`: the CSMS refused our certificate; else we refused the CSMS's."""
        if not ours:
            self._doubted = self._gave_roots  # in turns
        elif self._gave is not None:
            self._passed_over.add(self._gave)

    def stands(self, chain: Sequence[bytes] | None, *, only_newest: bool = False) -> bool:
        """A link stands; `chain`: the CSMS's verified chain (DER), () when it is not known, None on a link without TLS.
        `only_newest`: a root that is used for the first time takes the place of all others. True when anything has
        changed on disk."""
        if chain is None:
            self.in_use = frozenset()
            return False
        changed = self._settle_own()
        names = self.names("CSMSRoot") if self._gave_roots else []
        seen = {name_of(der) for der in chain}
        self.in_use = frozenset(name for name in names if name in seen or not seen)
        fresh = [name for name in self.in_use if not self.proven(name)]
        for name in fresh:
            self._write(self._root_file("CSMSRoot", name).with_suffix(".used"), b"")
        if fresh and only_newest and seen:
            for name in set(names) - set(fresh):
                self.remove_root("CSMSRoot", name)
        return changed or bool(fresh)

    def _settle_own(self) -> bool:
        """The certificate that was shown remains, and those that are newer and not tried yet."""
        given, self._gave = self._gave, None
        if given is None:
            return False
        vain = self._vain or set()
        over = vain | self._passed_over if given else vain
        gone = [number for number in self.own() if number != given and (number < given or number in over)]
        for number in gone:
            self.remove_own(number)
        vain.clear()
        self._passed_over.discard(given)
        return bool(gone)

    # --- roots --------------------------------------------------------------------------------------------------

    def names(self, kind: str) -> list[str]:
        """The roots of this kind, by the name that `name_of` gives them."""
        files = self._listed(self.folder / KINDS[kind], ".pem")
        return sorted(path.stem for path in files if len(path.stem) == NAME_LENGTH)

    def root(self, kind: str, name: str) -> bytes:
        """The certificate as PEM."""
        return self._read(self._root_file(kind, name))

    def add_root(self, kind: str, pem: str, issuer_key: bytes | None = None) -> None:
        """Trust this certificate from now on; the same one again changes nothing."""
        name = name_of(ssl.PEM_cert_to_DER_cert(pem))
        if issuer_key is not None:
            self._write(self._root_file(kind, name).with_suffix(".issuer"), issuer_key)
        self._write(self._root_file(kind, name), pem.encode("ascii"))
        if kind == "CSMSRoot":
            self._doubted = False
            self._bundle()

    def remove_root(self, kind: str, name: str) -> None:
        file = self._root_file(kind, name)
        self._remove(file, file.with_suffix(".used"), file.with_suffix(".issuer"))
        if kind == "CSMSRoot":
            self._bundle()

    def issuer_key(self, kind: str, name: str) -> bytes | None:
        """What `add_root` was told of it."""
        file = self._root_file(kind, name).with_suffix(".issuer")
        return self._read(file) if file.is_file() else None

    def proven(self, name: str) -> bool:
        """A link has stood on this root of the CSMS."""
        return self._root_file("CSMSRoot", name).with_suffix(".used").is_file()

    def _root_file(self, kind: str, name: str) -> Path:
        return self.folder / KINDS[kind] / f"{name}.pem"

    def _bundle(self) -> None:
        roots = [self.root("CSMSRoot", name).strip() + b"\n" for name in self.names("CSMSRoot")]
        if roots:
            self._write(self.folder / BUNDLE, b"".join(roots))
        else:
            self._remove(self.folder / BUNDLE)
        self._bundled = True

    # --- our own ------------------------------------------------------------------------------------------------

    def own(self) -> list[int]:
        """Numbers of the certificates of ours whose key is there, the oldest first."""
        chains = self._listed(self.folder / "own", ".pem")
        return sorted(int(p.stem) for p in chains if p.stem.isdecimal() and p.with_suffix(".key").is_file())

    def own_chain(self, number: int) -> bytes:
        """As PEM, leaf first."""
        return self._read(self._own_file(number, "pem"))

    def add_own(self, chain: str, key: bytes) -> None:
        """A new certificate of ours; the link tries it when it is told to. Every other pending key is void."""
        numbers = self.own()
        number = max(numbers, default=0) + 1
        self._write(self._own_file(number, "key"), key)
        self._write(self._own_file(number, "pem"), chain.encode("ascii"))
        for old in numbers[: -(MAX_OWN - 1)]:
            self.remove_own(old)
        self._remove(*self._listed(self.folder / "pending", ".key"))

    def remove_own(self, number: int) -> None:
        self._passed_over.discard(number)
        self._remove(self._own_file(number, "pem"), self._own_file(number, "key"))

    def add_pending(self, key: bytes) -> None:
        """A key whose certificate is being asked for."""
        files = self._pending()
        number = int(files[-1].stem) + 1 if files else 1
        self._write(self.folder / "pending" / f"{number:08}.key", key)
        self._remove(*files[: len(files) + 1 - MAX_PENDING])

    def pending(self) -> Iterator[bytes]:
        """Their keys, the newest first."""
        for file in reversed(self._pending()):
            yield self._read(file)

    def _pending(self) -> list[Path]:
        return sorted(path for path in self._listed(self.folder / "pending", ".key") if path.stem.isdecimal())

    def _own_file(self, number: int, end: str) -> Path:
        return self.folder / "own" / f"{number:08}.{end}"

    # --- files --------------------------------------------------------------------------------------------------

    def _listed(self, folder: Path, end: str) -> list[Path]:
        try:
            return [path for path in folder.iterdir() if path.suffix == end and not path.name.startswith(".")]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise TrustError(f"{folder} cannot be read: {error.strerror or error}") from None

    def _read(self, file: Path) -> bytes:
        try:
            with file.open("rb") as opened:
                return opened.read(MAX_FILE_BYTES)
        except OSError as error:
            raise TrustError(f"{file} cannot be read: {error.strerror or error}") from None

    def _write(self, file: Path, content: bytes) -> None:
        self.changes += 1
        beside = file.with_name(f".{file.name}.new")
        try:
            for folder in (self.folder, file.parent):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            beside.unlink(missing_ok=True)
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(content)
                opened.flush()
                os.fsync(opened.fileno())
            beside.replace(file)
            _sync(file.parent)
        except OSError as error:
            raise TrustError(f"{file} cannot be written: {error.strerror or error}") from None

    def _remove(self, *files: Path) -> None:
        self.changes += 1
        try:
            for file in files:
                file.unlink(missing_ok=True)
            for folder in {file.parent for file in files if file.parent.is_dir()}:
                _sync(folder)
        except OSError as error:
            raise TrustError(f"{files[0].parent} cannot be changed: {error.strerror or error}") from None


def name_of(der: bytes) -> str:
    """What a certificate is called on disk."""
    return sha256(der).hexdigest()[:NAME_LENGTH]


def _sync(folder: Path) -> None:
    """Make a rename or removal in it last."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
