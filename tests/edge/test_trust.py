"""The trust store on a real disk: what the link is given, and how trust from afar is tried, kept or taken back."""

from __future__ import annotations

import ssl
import stat
from base64 import encodebytes
from pathlib import Path

import pytest

from agent.core.network import MADE_WITH
from agent.edge.trust import MAX_OWN, MAX_PENDING, Trust, TrustError, name_of

ONE, TWO, THREE = (bytes([n]) * 40 for n in (1, 2, 3))  # the store does not look into certificates


def pem(der: bytes) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{encodebytes(der).decode()}-----END CERTIFICATE-----\n"


@pytest.fixture
def trust(tmp_path: Path) -> Trust:
    return Trust(tmp_path / "certificates")


def roots_of(trust: Trust) -> set[bytes] | None:
    """What the link would trust."""
    file = trust.csms_ca_file()
    if file is None:
        return None
    parts = Path(file).read_text().split("-----BEGIN")
    return {ssl.PEM_cert_to_DER_cert(f"-----BEGIN{part}") for part in parts[1:]}


def test_an_empty_store_leaves_the_link_what_it_is_configured_with(trust: Trust) -> None:
    assert (trust.csms_ca_file(), trust.client_certificate()) == (None, None)
    assert not trust.folder.exists()


def test_installed_roots_are_given_to_the_link_in_one_file(trust: Trust) -> None:
    trust.add_root("CSMSRoot", pem(ONE))
    trust.add_root("CSMSRoot", pem(TWO))
    trust.add_root("ManufacturerRoot", pem(THREE))
    assert roots_of(trust) == {ONE, TWO}


def test_a_removed_root_is_trusted_no_more(trust: Trust) -> None:
    trust.add_root("CSMSRoot", pem(ONE))
    trust.add_root("CSMSRoot", pem(TWO))
    trust.remove_root("CSMSRoot", name_of(ONE))
    assert roots_of(trust) == {TWO}


def test_the_last_root_removed_leaves_no_file_of_roots(trust: Trust) -> None:
    trust.add_root("CSMSRoot", pem(ONE))
    trust.remove_root("CSMSRoot", name_of(ONE))
    assert trust.csms_ca_file() is None
    assert list(trust.folder.glob("*.pem")) == []


def test_a_file_of_roots_that_a_power_cut_left_behind_is_made_anew(trust: Trust) -> None:
    trust.add_root("CSMSRoot", pem(ONE))
    (trust.folder / "csms-roots.pem").write_text(pem(ONE) + pem(TWO))
    assert roots_of(Trust(trust.folder)) == {ONE}


def test_folders_and_files_are_the_agents_alone(trust: Trust) -> None:
    trust.add_root("CSMSRoot", pem(ONE))
    trust.add_pending(b"key")
    trust.add_own(pem(ONE), b"key")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in trust.folder.rglob("*") if path.is_file()}
    folders = {stat.S_IMODE(path.stat().st_mode) for path in (trust.folder, trust.folder / "own")}
    assert (modes, folders) == ({0o600}, {0o700})


def test_files_of_other_names_are_left_alone(trust: Trust) -> None:
    trust.add_root("CSMSRoot", pem(ONE))
    (trust.folder / "csms" / "notes.pem").write_text("of the operator")
    assert trust.names("CSMSRoot") == [name_of(ONE)]


# --- trial of roots ---


def test_a_root_on_which_no_link_has_stood_is_left_out_after_a_refusal_and_tried_again_after_the_next(
    trust: Trust,
) -> None:
    trust.add_root("CSMSRoot", pem(ONE))
    found = []
    for _ in range(4):
        found.append(roots_of(trust))
        trust.refused(ours=False)
    assert found == [{ONE}, None, {ONE}, None]


def test_a_root_on_which_a_link_has_stood_is_never_left_out(trust: Trust) -> None:
    trust.add_root("CSMSRoot", pem(ONE))
    roots_of(trust)
    assert trust.stands((THREE, ONE))
    trust.refused(ours=False)
    again = Trust(trust.folder)  # also after a restart
    again.refused(ours=False)
    assert (roots_of(trust), roots_of(again)) == ({ONE}, {ONE})


def test_a_link_that_stood_on_the_old_trust_proves_nothing_of_the_new_root(trust: Trust) -> None:
    trust.add_root("CSMSRoot", pem(ONE))
    roots_of(trust)
    trust.refused(ours=False)
    assert roots_of(trust) is None
    assert not trust.stands((TWO,))
    assert trust.in_use == frozenset()


def test_until_the_chain_is_known_every_root_given_to_the_link_may_be_in_use(trust: Trust) -> None:
    for der in (ONE, TWO):
        trust.add_root("CSMSRoot", pem(der))
    assert trust.in_use == frozenset()
    roots_of(trust)
    assert trust.in_use == {name_of(ONE), name_of(TWO)}


def test_the_roots_of_a_standing_link_are_known(trust: Trust) -> None:
    for der in (ONE, TWO):
        trust.add_root("CSMSRoot", pem(der))
    roots_of(trust)
    trust.stands((THREE, TWO))
    assert trust.in_use == {name_of(TWO)}


def test_on_a_link_whose_chain_is_not_known_every_root_counts_as_used(trust: Trust) -> None:
    for der in (ONE, TWO):
        trust.add_root("CSMSRoot", pem(der))
    roots_of(trust)
    trust.stands(())
    assert trust.in_use == {name_of(ONE), name_of(TWO)}


def test_a_link_without_tls_proves_nothing(trust: Trust) -> None:
    trust.add_root("CSMSRoot", pem(ONE))
    roots_of(trust)
    assert not trust.stands(None)
    trust.refused(ours=False)
    assert roots_of(trust) is None


def test_the_old_root_stays_until_the_new_one_was_used(trust: Trust) -> None:
    trust.add_root("CSMSRoot", pem(ONE))
    roots_of(trust)
    trust.stands((ONE,), only_newest=True)
    trust.add_root("CSMSRoot", pem(TWO))
    assert roots_of(trust) == {ONE, TWO}
    trust.stands((ONE,), only_newest=True)
    assert roots_of(trust) == {ONE, TWO}
    trust.stands((TWO,), only_newest=True)
    assert roots_of(trust) == {TWO}


# --- trial of our own certificate ---


def test_the_newest_certificate_of_ours_is_shown(trust: Trust) -> None:
    for n in (1, 2):
        trust.add_own(pem(bytes([n])), b"key %d" % n)
    shown = trust.client_certificate()
    assert shown is not None
    assert Path(shown[0]).read_text() == pem(b"\x02")
    assert Path(shown[1]).read_bytes() == b"key 2"


def test_a_certificate_that_the_csms_refuses_gives_way_to_the_one_before_in_turns(trust: Trust) -> None:
    trust.add_own(pem(ONE), b"")
    trust.add_own(pem(TWO), b"")
    shown = []
    for _ in range(4):
        found = trust.client_certificate()
        assert found is not None
        shown.append(int(Path(found[0]).stem))
        trust.refused(ours=True)
    assert shown == [2, 1, 2, 1]


def test_the_certificate_before_goes_when_a_link_has_stood_on_the_new_one(trust: Trust) -> None:
    trust.add_own(pem(ONE), b"")
    trust.add_own(pem(TWO), b"")
    trust.client_certificate()
    assert trust.stands(())
    assert trust.own() == [2]


def test_a_refused_certificate_goes_when_a_link_has_stood_on_the_one_before(trust: Trust) -> None:
    trust.add_own(pem(ONE), b"")
    trust.add_own(pem(TWO), b"")
    trust.client_certificate()
    trust.refused(ours=True)
    trust.client_certificate()
    trust.stands(())
    assert trust.own() == [1]


def test_a_certificate_that_came_while_a_link_stood_on_the_one_before_is_kept(trust: Trust) -> None:
    trust.add_own(pem(ONE), b"")
    trust.client_certificate()
    trust.add_own(pem(TWO), b"")
    trust.stands(())
    assert trust.own() == [1, 2]


def shown_by(trust: Trust, mark: str, *, alone: bool = False, spare: bool = False) -> int | None:
    found = trust.client_certificate(spare=spare, mark=mark, alone=alone)
    return None if found is None else int(Path(found[0]).stem)


def two_of_ours(trust: Trust) -> None:
    trust.add_own(pem(ONE), b"")
    trust.add_own(pem(TWO), b"")


def test_the_certificate_that_counts_is_shown_though_there_is_a_newer_one(trust: Trust) -> None:
    two_of_ours(trust)
    assert shown_by(trust, name_of(ONE)) == 1
    assert shown_by(trust, MADE_WITH, spare=True) is None


def test_a_certificate_on_trial_takes_no_turns_and_goes_when_the_one_before_stands_again(trust: Trust) -> None:
    two_of_ours(trust)
    for _ in range(2):
        assert shown_by(trust, name_of(TWO), alone=True) == 2
        trust.refused(ours=True)
    assert shown_by(trust, name_of(ONE)) == 1
    assert trust.stands(())
    assert trust.own() == [1]


def test_a_certificate_that_was_given_up_goes_also_when_the_charger_was_made_with_the_one_before(trust: Trust) -> None:
    trust.add_own(pem(ONE), b"")
    assert shown_by(trust, name_of(ONE), alone=True, spare=True) == 1
    assert shown_by(trust, MADE_WITH, spare=True) is None
    assert trust.stands(())
    assert trust.own() == []


def test_a_certificate_that_stands_after_a_refusal_at_first_is_still_shown(trust: Trust) -> None:
    two_of_ours(trust)
    shown_by(trust, name_of(TWO), alone=True)
    trust.refused(ours=True)
    shown_by(trust, name_of(TWO), alone=True)
    trust.stands(())
    assert trust.own() == [2]
    assert shown_by(trust, name_of(TWO), spare=True) == 2


def test_a_certificate_that_was_given_up_before_a_power_cut_goes_after_it(trust: Trust) -> None:
    two_of_ours(trust)
    assert shown_by(trust, name_of(ONE)) == 1
    trust.stands(())
    assert trust.own() == [1]


def test_should_the_one_that_counts_be_refused_all_take_turns(trust: Trust) -> None:
    two_of_ours(trust)
    shown = []
    for _ in range(4):
        shown.append(shown_by(trust, name_of(ONE), spare=True))
        trust.refused(ours=True)
    assert shown == [1, 2, None, 1]


def test_certificates_of_ours_are_few(trust: Trust) -> None:
    for n in range(MAX_OWN + 5):
        trust.add_own(pem(bytes([n])), b"")
    assert len(trust.own()) == MAX_OWN
    assert trust.own()[-1] == MAX_OWN + 5


def test_a_chain_without_its_key_does_not_count(trust: Trust) -> None:
    trust.add_own(pem(ONE), b"")
    (trust.folder / "own" / "00000007.pem").write_text(pem(TWO))
    assert trust.own() == [1]


# --- pending keys ---


def test_pending_keys_are_few_and_told_the_newest_first(trust: Trust) -> None:
    for n in range(MAX_PENDING + 2):
        trust.add_pending(bytes([n]))
    assert list(trust.pending()) == [bytes([n]) for n in range(MAX_PENDING + 1, 1, -1)]


def test_a_certificate_of_ours_makes_pending_keys_void(trust: Trust) -> None:
    trust.add_pending(b"key")
    trust.add_own(pem(ONE), b"key")
    assert list(trust.pending()) == []


# --- a disk that refuses ---


def test_a_store_that_cannot_be_written_says_so_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "certificates").write_text("a file in the way")
    with pytest.raises(TrustError, match=r"cannot be written: "):
        Trust(tmp_path / "certificates").add_root("CSMSRoot", pem(ONE))


def test_the_link_is_asked_to_do_without_a_store_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "certificates").mkdir()
    (tmp_path / "certificates" / "csms").write_text("a file in the way")
    trust = Trust(tmp_path / "certificates")
    assert trust.csms_ca_file() is None
    assert "cannot be read" in trust.trouble
