"""Signatures, schedules and addresses of outgoing events, without a service."""

from base64 import b64decode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from authz_service.events.addresses import Addresses, AddressForbidden
from authz_service.events.kinds import TYPES, is_wanted
from authz_service.events.schedule import Outcome, asked_seconds, outcome_of, rest_seconds, retry_in_seconds
from authz_service.events.signature import signed_headers, written_secret
from authz_service.settings import Settings

NOW = datetime(2024, 12, 1, 9, 15, tzinfo=UTC)
SANDBOX = Settings()
PRODUCTION = Settings(root_key=SecretStr("a secret one"))
BANKS_LINE = PRODUCTION.model_copy(update={"event_networks": ("10.20.0.0/16", "fd00:1::/64")})


@pytest.mark.parametrize(
    ("event_id", "timestamp", "body", "signature"),
    [
        (
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1614265330,
            b'{"test": 2432232314}',
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
        (
            "msg_selfmade0001",
            1733108400,
            (
                b'{"type":"settlement.confirmed","timestamp":"2024-12-02T03:00:00Z",'
                b'"data":{"batch_id":"B-20241201","amount":287500}}'
            ),
            "v1,Dr1LEiO4nDwcWSIwkkl7nYiR0VLlcXBBkx875lsJDek=",
        ),
    ],
)
def test_the_vectors_of_the_specification_are_signed_as_published(
    event_id: str, timestamp: int, body: bytes, signature: str
) -> None:
    key = b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed_headers(event_id, datetime.fromtimestamp(timestamp, UTC), body, [key])
    assert headers == {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature,
    }
    assert written_secret(key) == "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_two_keys_make_two_signatures_with_a_space_between() -> None:
    alone = [signed_headers("evt_1", NOW, b"{}", [key])["webhook-signature"] for key in (b"a", b"b")]
    assert signed_headers("evt_1", NOW, b"{}", [b"a", b"b"])["webhook-signature"] == " ".join(alone)


def test_the_schedule_is_that_of_the_specification_and_ends() -> None:
    how: Any = {"asked_seconds": None, "limit_seconds": 3600.0, "chance": 0.0}
    waits = [retry_in_seconds(tries, SANDBOX.event_retry_seconds, **how) for tries in range(1, 11)]
    hour = 3600.0
    assert waits == [5, 300, 1800, 2 * hour, 5 * hour, 10 * hour, 14 * hour, 20 * hour, 24 * hour, None]


@pytest.mark.parametrize(("asked", "waits"), [(None, 5), (3.0, 5), (60.0, 60), (1e9, 3600)])
def test_a_receiver_gets_the_time_that_it_asks_for_up_to_the_limit(asked: float | None, waits: float) -> None:
    assert retry_in_seconds(1, (5.0,), asked_seconds=asked, limit_seconds=3600.0, chance=0.0) == waits
    rests = rest_seconds(1, asked_seconds=asked, rest_limit=300.0, asked_limit=3600.0)
    assert rests == (1 if asked is None else min(asked, 3600))


def test_chance_makes_a_wait_longer_by_a_tenth_at_most() -> None:
    assert retry_in_seconds(1, (100.0,), asked_seconds=None, limit_seconds=0.0, chance=1.0) == pytest.approx(110)


def test_an_endpoint_rests_longer_each_time_up_to_the_limit() -> None:
    rests = [rest_seconds(n, asked_seconds=None, rest_limit=300.0, asked_limit=0.0) for n in (1, 2, 3, 9, 10, 10_000)]
    assert rests == [1, 2, 4, 256, 300, 300]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        *((200, "delivered"), (204, "delivered"), (301, "refused"), (307, "refused"), (400, "refused"), (410, "gone")),
        *((429, "slow_down"), (500, "refused"), (502, "slow_down"), (503, "slow_down"), (504, "slow_down")),
    ],
)
def test_what_an_answer_means(status: int, outcome: str) -> None:
    assert outcome_of(status) is Outcome(outcome)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        *((None, None), ("120", 120), ("0", 0), ("soon", None), ("-5", None), ("9" * 5000, 999_999_999), ("", None)),
        *(("Sun, 01 Dec 2024 09:16:00 GMT", 60), ("Sun, 01 Dec 2024 09:14:00 GMT", 0), ("Sun, 99 Dec 2024", None)),
        *(("Sun, 01 Dec 2024 09:16:00", 60), ("١٢", None)),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date_and_nothing_breaks_it(
    said: str | None, seconds: float | None
) -> None:
    assert asked_seconds(said, NOW) == seconds


@pytest.mark.parametrize(
    "url", ["https://events.example.org/hook?tenant=1", "https://203.0.113.1.nip.io/", "https://8.8.8.8/"]
)
def test_https_to_the_world_is_allowed(url: str) -> None:
    Addresses(PRODUCTION).require_url(url)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://events.example.org/",
            "http://127.0.0.1/",
            "https://127.0.0.1/",
            "https://10.0.0.1/",
            "https://[::1]/",
        ),
        *(
            "https://192.168.1.1/",
            "https://169.254.169.254/latest/meta-data",
            "https://100.64.0.1/",
            "https://0.0.0.0/",
        ),
        *("https://[::ffff:10.0.0.1]/", "https://[64:ff9b::a00:1]/", "https://[2002:a00:1::]/", "https://[fd00::1]/"),
        *("https://[fec0::1]/", "https://224.0.0.1/", "https://240.0.0.1/", "https://255.255.255.255/"),
        *("https://user:password@events.example.org/", "https://events.example.org/#x", "ftp://events.example.org/"),
        *("https://", "https:///x", "//events.example.org", "", "https://a b/", "https://exämple.org/", "https://[::1"),
        *(
            "https://events.example.org:0/",
            "https://events.example.org:99999/",
            "https://x/" + "y" * 500,
            "https://x/\n",
        ),
    ],
)
def test_everything_else_is_not(url: str) -> None:
    with pytest.raises(AddressForbidden) as refused:
        Addresses(PRODUCTION).require_url(url)
    assert "password@" not in str(refused.value)


@pytest.mark.parametrize("settings", [SANDBOX, PRODUCTION])
@pytest.mark.parametrize(
    "host",
    [
        # 127.0.0.1 and others as resolvers read them, too: whole, in few parts, octal, hex, with a dot more.
        *("2130706433", "1", "0", "167772161", "127.1", "127.0.1", "0177.0.0.1", "017700000001", "0177.1", "00"),
        *(
            "0x7f000001",
            "0x7f.1",
            "0X7F.0.0.1",
            "127.0.0.0x1",
            "0x",
            "127.0.0.1.",
            "10.0.0.1.",
            "2130706433.",
            "8.8.8.8.",
        ),
        # Nor what only looks like one, and what another reader of the address may undo.
        *(
            "256.256.256.256",
            "1.2.3.4.5",
            "x.1",
            "x.0x1",
            "08.8.8.8",
            "[v1.127.0.0.1]",
            "%31%32%37.0.0.1",
            "127%2e0.0.1",
        ),
        *("a..example", ".", "..", "127.0.0.1..", "a;b", "a*b", "a'b"),
    ],
)
def test_a_host_that_is_neither_a_name_nor_an_address_in_its_usual_form_is_refused(
    settings: Settings, host: str
) -> None:
    with pytest.raises(AddressForbidden, match="a name, or an address in its usual form"):
        Addresses(settings).require_url(f"https://{host}/")
    with pytest.raises(AddressForbidden):
        Addresses(settings).require_url(f"https://{host}:8443/hook")


def test_a_name_may_have_digits_in_every_part_but_the_last_and_a_dot_at_its_end() -> None:
    for host in ("1.2.3.4.example", "0x7f.example.org.", "163.com", "a_b.example.org", "8.8.8.8.in-addr.arpa", "x1"):
        Addresses(PRODUCTION).require_url(f"https://{host}/")


def test_a_network_that_the_settings_name_is_allowed_and_no_other() -> None:
    for url in ("https://10.20.3.4/", "https://[fd00:1::7]/"):
        Addresses(BANKS_LINE).require_url(url)
    for url in ("https://10.21.3.4/", "https://[fd00:2::7]/", "http://10.20.3.4/"):
        with pytest.raises(AddressForbidden):
            Addresses(BANKS_LINE).require_url(url)


def test_in_the_sandbox_this_machine_may_be_told_without_tls_and_nobody_else() -> None:
    for url in ("http://127.0.0.1:9000/x", "http://localhost:9000/", "http://[::1]:9/", "https://127.0.0.1/"):
        Addresses(SANDBOX).require_url(url)
    for url in ("http://example.org/", "https://10.0.0.1/", "http://10.0.0.1/"):
        with pytest.raises(AddressForbidden):
            Addresses(SANDBOX).require_url(url)


def test_an_endpoint_asks_for_a_type_a_subject_or_everything() -> None:
    assert all(map(is_wanted, ("*", "payout.*", "purchase.*", *TYPES)))
    assert not any(map(is_wanted, ("", "payout", "*.settled", "payout.*.*", "payout.paid", "x.*", ".*")))


def test_a_retry_can_come_for_more_than_three_days() -> None:
    """So receivers are told to keep ids for seven."""
    whole = timedelta(seconds=sum(SANDBOX.event_retry_seconds)) * 1.1
    assert timedelta(days=3) < whole < timedelta(days=SANDBOX.event_retention_days)
    assert whole < timedelta(days=7)
