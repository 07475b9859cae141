"""Addresses, credentials, waits, and the words for what goes wrong: no network needed."""

from __future__ import annotations

import base64
import errno
import socket

import pytest

from agent.edge.dial import WAIT_LIMIT_S, BackOff, LinkSettings, retry_after_s, target
from agent.edge.reasons import WhyKind, explain
from agent.errors import LinkError


def settings(url: str = "wss://csms.example/ocpp", **changes: object) -> LinkSettings:
    return LinkSettings(**({"url": url, "identity": "CP1"} | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "identity", "dialled"),
    [
        ("ws://h", "CP1", "ws://h/CP1"),
        ("ws://h/", "CP1", "ws://h/CP1"),
        ("ws://h:9000/ocpp", "CP1", "ws://h:9000/ocpp/CP1"),
        ("ws://h/ocpp/", "CP1", "ws://h/ocpp/CP1"),
        ("ws://h/ocpp/?key=a&b=c", "CP1", "ws://h/ocpp/CP1?key=a&b=c"),
        ("ws://h/ocpp", "RDAM|123", "ws://h/ocpp/RDAM%7C123"),
        ("ws://h", "a/b c?d#e%", "ws://h/a%2Fb%20c%3Fd%23e%25"),
        ("ws://h", "Säule-1_x.y~z", "ws://h/S%C3%A4ule-1_x.y~z"),
        ("ws://h/{identity}/", "a b", "ws://h/a%20b/"),
        ("ws://h/ws?cp={identity}", "a b", "ws://h/ws?cp=a%20b"),
        ("ws://[::1]:80/x", "CP1", "ws://[::1]:80/x/CP1"),
    ],
)
def test_the_identity_takes_its_place_in_the_url(url: str, identity: str, dialled: str) -> None:
    assert target(settings(url, identity=identity)).url == dialled


def test_a_login_in_the_url_becomes_a_header_and_leaves_the_url() -> None:
    where = target(settings("wss://me:p%40ss@h/ocpp"))
    assert where.url == "wss://h/ocpp/CP1"
    assert where.authorization == "Basic " + base64.b64encode(b"me:p@ss").decode()


def test_the_user_is_the_identity_unless_said_otherwise() -> None:
    authorization = target(settings(password="secret")).authorization
    assert authorization == "Basic " + base64.b64encode(b"CP1:secret").decode()


def test_without_a_password_nothing_is_claimed() -> None:
    assert target(settings(user="me")).authorization is None


def test_neither_settings_nor_target_show_a_secret() -> None:
    shown = settings("wss://me:hush@h", password="hush-hush")
    assert "hush" not in repr(shown) + repr(target(shown))


@pytest.mark.parametrize("url", ["", "csms.example", "http://h", "ws://", "ws://h:port", "ws://h:99999"])
def test_an_unusable_address_is_refused_in_words(url: str) -> None:
    with pytest.raises(LinkError, match="the CSMS URL"):
        target(settings(url))


# --- waits ---


def waits(count: int, rng: float = 0.0, **changes: object) -> list[float]:
    back_off = BackOff()
    return [back_off.next(settings(**changes), lambda: rng) for _ in range(count)]  # type: ignore[arg-type]


def test_waits_double_as_often_as_told_and_then_stay() -> None:
    assert waits(6, wait_minimum_s=10.0, repeat_times=3) == [10, 20, 40, 80, 80, 80]


def test_every_wait_has_its_own_random_part() -> None:
    assert waits(3, rng=0.5, wait_minimum_s=10.0, random_range_s=8.0) == [14, 24, 44]


def test_no_wait_is_shorter_than_the_floor() -> None:
    assert waits(2, wait_minimum_s=0.0, random_range_s=0.0) == [1.0, 1.0]


def test_no_wait_is_longer_than_the_limit() -> None:
    assert max(waits(60, wait_minimum_s=100.0, repeat_times=50)) == WAIT_LIMIT_S


def test_a_reset_back_off_begins_anew() -> None:
    back_off = BackOff()
    back_off.next(settings(), lambda: 0.0)
    back_off.reset()
    assert back_off.next(settings(), lambda: 0.0) == 10.0


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        (None, None, 0.0),
        ("120", None, 120.0),
        ("999999999999", None, WAIT_LIMIT_S),
        ("-1", None, 0.0),
        ("soon", None, 0.0),
        ("Sat, 21 Nov 2026 10:01:30 GMT", "Sat, 21 Nov 2026 10:00:00 GMT", 90.0),
        ("Sat, 21 Nov 2026 09:00:00 GMT", "Sat, 21 Nov 2026 10:00:00 GMT", 0.0),
        ("Sat, 21 Nov 2026 10:01:30 GMT", None, 0.0),
    ],
)
def test_retry_after_is_understood_and_bounded(value: str | None, date: str | None, seconds: float) -> None:
    assert retry_after_s(value, date) == seconds


# --- words ---


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (OSError(errno.ENETUNREACH, "x"), WhyKind.UNREACHABLE, "h: no way to the network"),
        (OSError(errno.EHOSTUNREACH, "x"), WhyKind.UNREACHABLE, "h: no way to the host"),
        (OSError("Multiple exceptions: [Errno 111] a, [Errno 111] b"), WhyKind.REFUSED, "nobody listens there"),
        (socket.gaierror(socket.EAI_NONAME, "x"), WhyKind.DNS, "the name h could not be looked up"),
        (TimeoutError(), WhyKind.TIMEOUT, "h did not answer at all within 10 s"),
        (RuntimeError("secret"), WhyKind.OTHER, "the dial failed: RuntimeError"),
    ],
)
def test_what_a_dial_raises_is_put_in_words(error: Exception, kind: WhyKind, words: str) -> None:
    why = explain(error, host="h", open_timeout_s=10.0)
    assert why.kind is kind
    assert words in why.text
    assert "secret" not in why.text
