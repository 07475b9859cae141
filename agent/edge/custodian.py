"""The custodian of the trust store: does what the certificates block orders, one order at a time, in a thread.

Every order is answered, whatever is wrong with what came or with the disk. Without the package `cryptography` nothing
of it is loaded and every request is refused as not supported. What is held can be told without it (`der`).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.core.certificates import (
    CONFIGURED,
    CSMS_ROOT,
    MANUFACTURER_ROOT,
    OWN,
    CertificateAnswered,
    CertificateErrand,
    CsrMade,
    DropCertificate,
    Held,
    Holdings,
    InstallRoot,
    ListCertificates,
    MakeCsr,
    TakeSigned,
)
from agent.core.effects import Answer, CertificateIdsAnswer, Errand, RefuseCall, StatusAnswer
from agent.core.events import Event
from agent.core.types import CertificateHash
from agent.edge import der
from agent.edge.trust import KINDS, Trust, TrustError, name_of

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

MAX_CONFIGURED = 20  # certificates of the configured CA file whose dates are watched
MAX_CA_FILE_BYTES = 1 << 20
MISSING = RefuseCall("NotSupported", "certificates cannot be handled: the package cryptography is missing")

DISK_REFUSES: dict[type[CertificateErrand], Answer] = {
    TakeSigned: StatusAnswer("Rejected"),
    InstallRoot: StatusAnswer("Failed"),
    DropCertificate: StatusAnswer("Failed"),
    ListCertificates: RefuseCall("InternalError", "the certificates cannot be read"),  # there is no status for it
}


class Refused(Exception):
    """An order that is not carried out: the status that answers it, and why."""

    def __init__(self, status: str, why: str, alarm: str = "") -> None:
        super().__init__(why)
        self.status, self.why, self.alarm = status, why, alarm


class Custodian:
    """`name`: who we are, in requests of our own. `key_kind`: one of `certificates.KEY_KINDS`. `ca_file`: who may vouch
    for the CSMS by the configuration."""

    def __init__(self, trust: Trust, *, name: str, key_kind: str = "ec-p256", ca_file: str | None = None) -> None:
        self.trust = trust
        self.ca_file = ca_file
        self._name, self._key_kind = name, key_kind
        self._lock = asyncio.Lock()
        self._jobs: dict[type[Errand], Callable[[Any], tuple[Answer, str]]] = {
            TakeSigned: self._take,
            InstallRoot: self._install,
            DropCertificate: self._drop,
            ListCertificates: self._list,
        }

    def handlers(self) -> dict[type[Errand], Callable[[Any], Awaitable[Event]]]:
        """For `Errands.serve`."""
        return {MakeCsr: self.make_csr, **dict.fromkeys(self._jobs, self.answer)}

    async def answer(self, errand: CertificateErrand) -> CertificateAnswered:
        async with self._lock:
            return await asyncio.to_thread(self._answer, errand)

    async def make_csr(self, errand: MakeCsr) -> CsrMade:
        async with self._lock:
            return await asyncio.to_thread(self._make_csr, errand)

    async def look(self) -> Holdings:
        """What is held now."""
        async with self._lock:
            return await asyncio.to_thread(self.holdings)

    async def stands(self, chain: list[bytes] | None, *, only_newest: bool) -> bool:
        """See `Trust.stands`; a disk that refuses is no reason to give up a link."""
        async with self._lock:
            try:
                return await asyncio.to_thread(self.trust.stands, chain, only_newest=only_newest)
            except TrustError as error:
                self.trust.trouble = str(error)
                return False

    # --- orders -------------------------------------------------------------------------------------------------

    def _answer(self, errand: CertificateErrand) -> CertificateAnswered:
        own = isinstance(errand, TakeSigned)
        answer, done, refused, alarm = self._tried(errand)
        return CertificateAnswered(errand.ref, answer, self.holdings(), done, refused, alarm, own)

    def _tried(self, errand: CertificateErrand) -> tuple[Answer, str, str, str]:
        if not isinstance(errand, ListCertificates | DropCertificate) and not able():
            return MISSING, "", MISSING.why, ""
        try:
            return *self._jobs[type(errand)](errand), "", ""
        except Refused as refused:
            return StatusAnswer(refused.status), "", refused.why, refused.alarm
        except TrustError as error:
            return DISK_REFUSES[type(errand)], "", str(error), ""
        except ImportError:
            return MISSING, "", MISSING.why, ""

    def _make_csr(self, errand: MakeCsr) -> CsrMade:
        if not able():
            return CsrMade("", MISSING.why)
        from agent.edge import certificates

        try:
            csr, key = certificates.request(self._name, errand.organization, self._key_kind)
            self.trust.add_pending(key)
        except ImportError:
            return CsrMade("", MISSING.why)
        except (TrustError, ValueError) as error:
            return CsrMade("", str(error))
        return CsrMade(csr)

    def _take(self, errand: TakeSigned) -> tuple[Answer, str]:
        from agent.edge import certificates

        roots = list(self._roots(CSMS_ROOT))
        try:
            path, key = certificates.chain(errand.chain, errand.most, self.trust.pending(), roots, errand.utc)
        except certificates.Unfit as error:
            raise Refused("Rejected", str(error), "InvalidChargingStationCertificate") from None
        shown = _shown(path[0])
        self.trust.add_own(certificates.pem_of(path), key)
        return StatusAnswer("Accepted"), f"a new certificate of ours was installed ({shown})"

    def _install(self, errand: InstallRoot) -> tuple[Answer, str]:
        from agent.edge import certificates

        if errand.kind not in KINDS:
            raise Refused("Rejected", f"roots of the kind {errand.kind} are not used here")
        try:
            root = certificates.root(errand.certificate, errand.utc)
        except certificates.Unfit as error:
            raise Refused("Rejected", str(error)) from None
        shown = _shown(root)
        known = self.trust.names(errand.kind)
        if name_of(certificates.der_of(root)) in known:
            return StatusAnswer("Accepted"), ""
        chained = errand.chained and errand.kind == CSMS_ROOT
        issuer = self._issuer_of(root, errand.kind) if chained or not certificates.signed_by(root, root) else None
        if chained:
            self._check_chained(issuer)
        elif sum(len(self.trust.names(kind)) for kind in KINDS) >= errand.most:
            raise Refused("Rejected", f"there are {errand.most} roots already")
        self.trust.add_root(errand.kind, certificates.pem_of([root]), self._key_of(issuer))
        return StatusAnswer("Accepted"), f"a {errand.kind} was installed ({shown})"

    def _issuer_of(self, root: Certificate, kind: str) -> Certificate | None:
        from agent.edge import certificates

        candidates = [*self._roots(kind), *(self._configured_roots() if kind == CSMS_ROOT else ())]
        return next((one for one in candidates if certificates.signed_by(root, one)), None)

    def _check_chained(self, issuer: Certificate | None) -> None:
        """AdditionalRootCertificateCheck: one root, and a new one that it has signed; a third one would be too many."""
        from agent.edge import certificates

        before = {name_of(certificates.der_of(one)) for one in (*self._roots(CSMS_ROOT), *self._configured_roots())}
        if not before:
            return
        if issuer is None:
            raise Refused("Rejected", "it is not signed by the root that it is to replace", "InvalidCsmsCertificate")
        for name in self.trust.names(CSMS_ROOT):
            if not self.trust.proven(name) and name != name_of(certificates.der_of(issuer)):
                self.trust.remove_root(CSMS_ROOT, name)  # was never used, and is replaced

    def _key_of(self, issuer: Certificate | None) -> bytes | None:
        from agent.edge import certificates

        return None if issuer is None else der.fields(certificates.der_of(issuer)).key

    def _roots(self, kind: str) -> Iterator[Certificate]:
        return _usable(one for name in self.trust.names(kind) for one in _ders(self.trust.root(kind, name)))

    def _configured_roots(self) -> Iterator[Certificate]:
        return _usable(_certificates_in(self.ca_file))

    def _drop(self, errand: DropCertificate) -> tuple[Answer, str]:
        wanted = errand.hash
        same = (wanted.issuer_name.lower(), wanted.issuer_key.lower(), _bare(wanted.serial))
        for kind, name, hashed in self._hashes(wanted.algorithm):
            if (hashed.issuer_name, hashed.issuer_key, hashed.serial) != same:
                continue
            if kind == CSMS_ROOT and name in self.trust.in_use:
                raise Refused("Failed", "the link to the CSMS stands on this certificate")
            self.trust.remove_root(kind, name)
            return StatusAnswer("Accepted"), f"a {kind} was deleted"
        if any(self._is_own(wanted)):
            raise Refused("Failed", "this is our own certificate")
        return StatusAnswer("NotFound"), ""

    def _is_own(self, wanted: CertificateHash) -> Iterator[bool]:
        """By issuer's name and serial number: the issuer's key need not be at hand."""
        for number in self.trust.own():
            for found in _readable(self.trust.own_chain(number))[:1]:
                hashed = der.hash_of(found, b"", wanted.algorithm)
                yield hashed.issuer_name == wanted.issuer_name.lower() and hashed.serial == _bare(wanted.serial)

    def _list(self, errand: ListCertificates) -> tuple[Answer, str]:
        found = [(kind, hashed) for kind, _name, hashed in self._hashes("SHA256")]
        return CertificateIdsAnswer(tuple(one for one in found if not errand.kinds or one[0] in errand.kinds)), ""

    def _hashes(self, algorithm: str) -> Iterator[tuple[str, str, CertificateHash]]:
        """Kind, name on disk and hash of each installed root; one that is damaged on disk is passed over."""
        for kind in KINDS:
            for name in self.trust.names(kind):
                for found in _readable(self.trust.root(kind, name)):
                    key = self.trust.issuer_key(kind, name) or found.key
                    yield kind, name, der.hash_of(found, key, algorithm)

    # --- what is held -------------------------------------------------------------------------------------------

    def holdings(self) -> Holdings:
        """Read from disk; says in `trouble` what cannot be read."""
        found: list[Held] = []
        trouble = self.trust.trouble
        try:
            found += [held for kind in KINDS for held in self._held_roots(kind)]
            found += [_held(CONFIGURED, one) for one in _certificates_in(self.ca_file)]
            for number in self.trust.own():
                found += [_held(OWN, one) for one in _ders(self.trust.own_chain(number))[:1]]
        except (TrustError, der.Malformed) as error:
            trouble = str(error)
        return Holdings(able(), tuple(found), trouble)

    def _held_roots(self, kind: str) -> Iterator[Held]:
        for name in self.trust.names(kind):
            for one in _ders(self.trust.root(kind, name))[:1]:
                yield _held(kind, one)


def able() -> bool:
    """Whether certificates can be made and checked; loads nothing."""
    return find_spec("cryptography") is not None


def _held(kind: str, certificate: bytes) -> Held:
    found = der.fields(certificate)
    return Held(kind, found.name, name_of(certificate), found.since, found.until)


def _shown(certificate: Certificate) -> str:
    """Its name. Refused when we could not read it again, once it is installed."""
    from agent.edge import certificates

    try:
        return der.fields(certificates.der_of(certificate)).name
    except der.Malformed as error:
        raise Refused("Rejected", str(error)) from None


def _usable(certificates: Iterable[bytes]) -> Iterator[Certificate]:
    """Those that can be read; what is damaged on disk vouches for nothing."""
    from agent.edge.certificates import MAX_ROOT_CHARS, Unfit, read_all

    for one in certificates:
        try:
            yield from read_all(ssl.DER_cert_to_PEM_cert(one), MAX_ROOT_CHARS)
        except Unfit:
            continue


def _readable(pem: bytes) -> list[der.Fields]:
    """The same, without the package for it."""
    try:
        return [der.fields(one) for one in _ders(pem)]
    except (TrustError, der.Malformed):
        return []


def _bare(serial: str) -> str:
    """A serial number as `der.hash_of` writes it."""
    return serial.lower().lstrip("0") or "0"


def _ders(pem: bytes) -> list[bytes]:
    """The certificates in this text, as DER."""
    end = "-----END CERTIFICATE-----"
    parts = pem.decode("ascii", "replace").split("-----BEGIN CERTIFICATE-----")[1:]
    try:
        return [ssl.PEM_cert_to_DER_cert(f"-----BEGIN CERTIFICATE-----{p.split(end)[0]}{end}\n") for p in parts]
    except ValueError:
        raise TrustError("a certificate on disk is damaged") from None


def _certificates_in(ca_file: str | None) -> list[bytes]:
    """Those of the configured CA file, as far as it can be read: the link complains of it in better words."""
    if ca_file is None:
        return []
    try:
        with Path(ca_file).open("rb") as file:
            return _ders(file.read(MAX_CA_FILE_BYTES))[:MAX_CONFIGURED]
    except (OSError, TrustError):
        return []


assert set(KINDS) == {CSMS_ROOT, MANUFACTURER_ROOT}
