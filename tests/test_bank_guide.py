"""docs/bank-integration.md is true: its samples verify, its codes are the door's, its checklist is the one asked."""

import re
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from authz_service.api import snap
from authz_service.bank.notice import Told, read_notice
from authz_service.bank.signature import (
    is_signed_with_key,
    is_signed_with_secret,
    minified,
    public_key_of,
    signed_with_key,
    text_of_token_request,
    text_to_sign,
)
from authz_service.reconciliation.findings import Payout, State
from authz_service.reconciliation.reconcile import reconcile
from authz_service.reconciliation.statement_files import read_statement
from authz_service.reconciliation.statement_lines import Format
from authz_service.simulation.checklist import POINTS

PAGE = (Path(__file__).parent.parent / "docs" / "bank-integration.md").read_text(encoding="utf-8")
TOKEN, WITH_TOKEN, WITHOUT_TOKEN = range(3)


@dataclass(frozen=True, slots=True)
class Sample:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def blocks(kind: str) -> list[str]:
    """What stands in the fenced blocks that begin with these words."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def samples() -> list[Sample]:
    found = []
    for block in blocks("http"):
        head, _, body = block.rstrip("\n").partition("\n\n")
        first, *lines = head.split("\n")
        method, path, _ = first.split(" ")
        found.append(Sample(method, path, dict(line.split(": ", 1) for line in lines), body.encode()))
    assert len(found) == 3
    return found


def text_of(sample: Sample) -> bytes:
    """As the page tells its reader to make it, from what is sent."""
    headers = sample.headers
    if "X-CLIENT-KEY" in headers:
        return text_of_token_request(headers["X-CLIENT-KEY"], headers["X-TIMESTAMP"])
    token = headers.get("Authorization", "").removeprefix("Bearer ") or None
    return text_to_sign(sample.method, sample.path, sample.body, headers["X-TIMESTAMP"], token)


@pytest.mark.parametrize("which", [TOKEN, WITH_TOKEN, WITHOUT_TOKEN])
def test_each_sample_verifies_with_the_keys_of_the_page(which: int) -> None:
    sample = samples()[which]
    text, signature = text_of(sample), sample.headers["X-SIGNATURE"]
    assert text.decode() == blocks("text to-sign")[which].strip()
    if which == WITH_TOKEN:
        (secret,) = blocks("text secret")
        assert is_signed_with_secret(secret.strip(), text, signature)
        assert not is_signed_with_secret(secret.strip(), text + b"0", signature)
    else:
        (public_key,), (private_key,) = blocks("text public-key"), blocks("text private-key")
        assert is_signed_with_key(public_key_of(public_key), text, signature)
        key = load_pem_private_key(private_key.encode(), password=None)
        assert isinstance(key, RSAPrivateKey)
        assert signed_with_key(key, text) == signature


def test_the_notices_are_ones_that_we_read_and_the_spaced_one_is_minified_as_shown() -> None:
    _, paid, failed = samples()
    assert (read_notice(paid.body).told, read_notice(paid.body).amount_rupiah) == (Told.SUCCESS, 287_500)
    assert read_notice(failed.body).told is Told.FAILED
    (shown,) = blocks("text minified")
    assert minified(paid.body).decode() == shown.strip() != paid.body.decode()


def test_the_answers_are_snaps() -> None:
    answers = [orjson.loads(block) for block in blocks("json")]
    assert [each["responseCode"] for each in answers] == ["2007300", "2005600"]
    assert answers[0]["accessToken"] == samples()[WITH_TOKEN].headers["Authorization"].removeprefix("Bearer ")
    notified = snap.successful(snap.ServiceCode.DEBIT_NOTIFY)
    assert orjson.loads(notified.body) == answers[1]


def test_every_code_of_the_door_has_a_row_and_there_are_no_others() -> None:
    refusals = [
        *(snap.bad_request(""), snap.invalid_format(""), snap.missing_field("")),
        *(snap.unauthorised("", ""), snap.invalid_token(), snap.token_not_found()),
        *(snap.not_supported(""), snap.too_many_requests(1)),
        *(snap.conflict(), snap.general_error(), snap.timed_out()),
    ]
    notice = {f"{each.status}56{each.case}" for each in refusals}
    token = {f"{each.status}73{each.case}" for each in refusals if each.status != 409 and each.case != "03"}
    table = PAGE.partition("## 6. Codes")[2].partition("## 7.")[0]
    rows = set(re.findall(r"\b[0-9]{7}\b", "".join(line.split("|")[1] for line in table.splitlines() if "|" in line)))
    assert rows == notice | (token - {"4017301"}) | {"2007300", "2005600"}


def test_the_checklist_of_the_page_is_the_one_that_is_asked() -> None:
    table = PAGE.partition("## 9. The checklist")[2]
    shown = [tuple(cell.strip(" `") for cell in line.split("|")[1:4]) for line in table.splitlines() if "|" in line]
    assert shown[2:] == [(each.title, each.code, each.only or "") for each in POINTS]


def test_the_statement_in_mt940_says_what_the_one_in_csv_says() -> None:
    """Of one payment that came back, under our reference, as far as MT940 can write it."""
    (as_csv,), (as_mt940,) = blocks("csv statement"), blocks("text mt940")
    ours, theirs = (
        read_statement(text.encode(), kind) for text, kind in ((as_csv, Format.CSV), (as_mt940, Format.MT940))
    )
    assert [(each.booked_on, each.amount_rupiah) for each in ours.lines] == [
        (each.booked_on, each.amount_rupiah) for each in theirs.lines
    ]
    assert (ours.opening_rupiah, ours.closing_rupiah) == (theirs.opening_rupiah, theirs.closing_rupiah)
    payout = Payout(
        reference=ours.lines[0].reference,
        merchant_id="mrc_1",
        amount_rupiah=287_500,
        account_number="0012345678",
        created_on=ours.from_on,
        events={},
    )
    for statement in (ours, theirs):
        (finding,) = reconcile(statement.lines, [payout], [], known={}, covered_until=statement.to_on, proposal_days=3)
        assert finding.state is State.MATCHED
        assert len(finding.steps) == 3
