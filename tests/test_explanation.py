"""Every answer that a till was given is explained, and the explanation is the same long after all has changed."""

import asyncio
from datetime import date, datetime, timedelta
from random import Random
from typing import Any, Final

import orjson
import pytest

from authz_service.answers import Document, Identity, decision_document
from authz_service.api.wire_explanation import Explanation
from authz_service.authorisation import placed_hold
from authz_service.declines import DeclineReason
from authz_service.enrolment.sandbox import SandboxCard, SandboxTerminal
from authz_service.explanation.explain import explanation_document, recorded_of, seen_at
from authz_service.explanation.recorded import agrees, decided_again, facts_of, purchase_of
from authz_service.keys import Keys
from authz_service.settings import SANDBOX_ROOT_KEY
from authz_service.vocabulary import AuthorisationId
from tests.office import companion_of, get, operators_key
from tests.world import A_MORNING, PROGRAMME, THREE_LINES, WITA, World, answered

REASONS: Final = {reason.value for reason in DeclineReason}
OCTOBER: Final = date(2024, 10, 1)
RICE: Final = THREE_LINES[0]
DEAR_RICE: Final = RICE | {"unit_price": 16000, "amount": 80000}
FISH: Final = {"category": "ikan_kaleng", "amount": 50000}
LONG_AFTER: Final = datetime(2025, 3, 3, 9, 0, tzinfo=WITA)

Answers = dict[str, Document]
"""What was asked to get it (a reason, or a word) → the answer that the till got."""


async def explanation(world: World, authorisation_id: str, programme_id: str = PROGRAMME) -> Document:
    """As an operator gets it, in the documented form."""
    document = await explanation_document(world.database, programme_id, authorisation_id, world.clock)
    assert document is not None
    sent = orjson.dumps(document)
    Explanation.model_validate_json(sent)
    read: Document = orjson.loads(sent)
    return read


def as_decided(document: Document) -> Document:
    """All but how the money stands now."""
    return {name: value for name, value in document.items() if name != "now"}


def check(document: Document, name: str) -> Document:
    return next(each for each in document["checks"] if each["check"] == name)


async def set_(world: World, statement: str, *values: object) -> None:
    assert await world.database.execute(statement, *values) not in {"UPDATE 0", "DELETE 0"}, statement


async def voucher(world: World, card: SandboxCard, *, rupiah: int = 200_000, packages: int = 1) -> None:
    await world.database.execute(
        """INSERT INTO voucher (programme_id, voucher_id, beneficiary_id, companion_id, month, extra_rupiah,
                                extra_packages, used_rupiah, packages_used, reason, created_at, expires_at, approved_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, 'anak sakit', $8, '2024-11-01T00:00+08', $8)""",
        PROGRAMME,
        "vch_" + card.beneficiary_id.removeprefix("ben_"),
        card.beneficiary_id,
        card.companion_id,
        OCTOBER,
        rupiah,
        packages,
        world.now,
    )


SHOPS: Final = {
    "merchant_unknown": "UPDATE merchant SET leaves_on = '2024-10-06' WHERE merchant_id = $1",
    "merchant_suspended": "UPDATE merchant SET status = 'suspended' WHERE merchant_id = $1",
    "terminal_not_permitted": "UPDATE merchant SET opens_at = '09:30' WHERE merchant_id = $1",
    "suspected_misuse": "INSERT INTO signal_mark (programme_id, subject_id, signal, until, finding_id)"
    " VALUES ('samarinda-2024', $1, 'far_prices', '2025-12-01T00:00:00+08:00', 'sig_1')",
}
FAMILIES: Final = {
    "card_not_activated": "UPDATE card SET status = 'not_activated' WHERE beneficiary_id = $1",
    "card_lost": "UPDATE card SET status = 'lost' WHERE beneficiary_id = $1",
    "card_stolen": "UPDATE card SET status = 'stolen' WHERE beneficiary_id = $1",
    "card_expired": "UPDATE card SET expires_on = '2024-10-06' WHERE beneficiary_id = $1",
    "card_blocked": "UPDATE card SET status = 'blocked' WHERE beneficiary_id = $1",
    "beneficiary_suspended": "UPDATE beneficiary SET status = 'suspended' WHERE beneficiary_id = $1",
    "beneficiary_removed": "UPDATE beneficiary SET status = 'removed' WHERE beneficiary_id = $1",
}
BASKETS: Final[dict[str, dict[str, Any]]] = {
    "cash_not_permitted": {"lines": [FISH, {"category": "tarik_tunai", "amount": 10000}]},
    "category_not_permitted": {"lines": [FISH, {"category": "ban_motor", "amount": 90000}]},
    "product_not_permitted": {"lines": [RICE | {"unit": "karung"}]},
    "price_above_ceiling": {"lines": [FISH, DEAR_RICE]},
    "package_cap_exceeded": {"amount": 300001},
    "approved": {},
    "captured": {"capture": True},
    "partly": {"lines": [RICE, {"category": "rokok", "amount": 20000}], "partial_approval": True},
}


@pytest.fixture
async def answers(world: World) -> Answers:
    """One answer of every reason and some approvals, each of another family, each by HTTP."""
    cards, tills = iter(world.tills.cards[1:]), iter(world.tills.terminals[2:])
    given: Answers = {}

    async def buy(name: str, card: SandboxCard, till: SandboxTerminal = world.till, **changes: Any) -> None:
        reply = await world.authorise(till=till, card_number=card.card_number, **changes)
        assert (reply.status, reply["reason"]) == (201, name if name in REASONS else "approved"), name
        given[name] = reply.body | {"card": card.card_number}

    await buy("first", world.card)
    for name, statement in SHOPS.items():
        till = next(tills)
        await set_(world, statement, till.merchant_id)
        await buy(name, next(cards), till)
    for name, statement in FAMILIES.items():
        card = next(cards)
        await set_(world, statement, card.beneficiary_id)
        await buy(name, card)
    for name, basket in BASKETS.items():
        await buy(name, next(cards), **basket)
    unknown = await world.authorise(card_number="9360000000000013")
    given["card_unknown"] = unknown.body | {"card": "9360000000000013"}
    spent, busy, helped, tired = next(cards), next(cards), next(cards), next(cards)
    await set_(world, "UPDATE wallet SET available_rupiah = 40000 WHERE beneficiary_id = $1", spent.beneficiary_id)
    await buy("entitlement_exceeded", spent)
    await voucher(world, helped)
    for card, amounts in ((busy, (290_000, 290_000)), (helped, (290_000, 290_000)), (tired, (10_000, 10_000))):
        for amount in amounts:
            assert (await world.authorise(card_number=card.card_number, amount=amount))["decision"] == "approved"
    await world.change(month_packages=9)
    await voucher(world, busy, rupiah=0, packages=1)
    await buy("monthly_cap_exceeded", busy)
    await buy("with_voucher", helped)
    await buy("packages_used_up", tired)
    await world.change(above_ceiling="reduce")
    await buy("reduced", next(cards), lines=[FISH, DEAR_RICE])
    await world.change(above_ceiling="decline")
    world.at(datetime(2024, 9, 30, 12, 0, tzinfo=WITA))
    await buy("programme_not_started", next(cards))
    world.at(datetime(2025, 1, 1, 12, 0, tzinfo=WITA))
    await buy("programme_ended", next(cards))
    world.at(A_MORNING + timedelta(minutes=1))
    return given


async def test_every_reason_there_is_has_its_answer_here(answers: Answers) -> None:
    assert set(answers) >= REASONS


async def test_every_answer_is_explained_as_it_was_given(world: World, answers: Answers) -> None:
    for name, answer in answers.items():
        told = await explanation(world, answer["id"])
        for member in ("decision", "reason", "response_code", "amount", "approved_amount", "tender_due", "message"):
            assert told[member] == answer[member], (name, member)
        assert (told["stan"], told["created_at"]) == (answer["stan"], answer["created_at"])
        assert (told["rules_agree"], told["not_recorded"], told["settings_known"]) == (True, [], True), name
        failed = [each["check"] for each in told["checks"] if each["outcome"] == "failed"]
        assert failed == list(dict.fromkeys(each["reason"] for each in answer["reasons"])), name
        assert [each["indonesian"] for each in told["reasons"]] == [each["message"] for each in answer["reasons"]]
        for each in told["reasons"]:
            assert "(not recorded)" not in each["english"]
            assert each["english"] in told["in_words"]["english"]
            assert each["indonesian"] in told["in_words"]["indonesian"]
        assert [(line["action"], line["approved_amount"]) for line in told["lines"]] == [
            (line["action"], line["approved_amount"]) for line in answer["lines"]
        ]


async def test_the_figures_are_those_that_were_compared(world: World, answers: Answers) -> None:
    """The month's: asked 150.000, cap 600.000, used 580.000, no voucher, so room for 20.000."""
    month = await explanation(world, answers["monthly_cap_exceeded"]["id"])
    assert check(month, "monthly_cap_exceeded")["figures"] == {
        "asked": 150_000,
        "cap": 600_000,
        "used": 580_000,
        "covered_by_vouchers": 0,
        "on_vouchers": 0,
        "room": 20_000,
    }
    assert month["facts"]["available"] == 1_800_000 - 580_000
    helped = await explanation(world, answers["with_voucher"]["id"])
    assert check(helped, "monthly_cap_exceeded")["figures"]["on_vouchers"] == 200_000
    assert helped["facts"]["vouchers"][0]["expires_at"].startswith("2024-10-31T16:00:00")
    shut = await explanation(world, answers["terminal_not_permitted"]["id"])
    figures = check(shut, "terminal_not_permitted")["figures"]
    assert (figures["opens_at"], figures["terminal"], figures["time"][:5]) == ("09:30:00", "active", "09:00")
    old = await explanation(world, answers["card_expired"]["id"])
    assert check(old, "card_expired")["figures"] == {"day": "2024-10-07", "last_day": "2024-10-06"}
    dear = (await explanation(world, answers["price_above_ceiling"]["id"]))["lines"][1]
    assert (dear["unit_price"], dear["catalogue"]["price_ceiling"]["price"]) == (16_000, 15_400)
    assert dear["catalogue"]["price_ceiling"]["source"].startswith("HET Perbadan 5/2024")
    fish = month["lines"][2]
    assert (month["facts"]["month"]["month"], fish["category"]) == ("2024-10", "ikan_kaleng")
    assert [fish["catalogue"][name] for name in ("category", "name")] == ["ikan_kaleng", "ikan kaleng"]
    lowered = (await explanation(world, answers["reduced"]["id"]))["lines"][1]
    assert (lowered["action"], lowered["approved_amount"], lowered["price_reduction"]) == ("price_reduced", 77000, 3000)


async def test_a_paragraph_can_be_read_to_the_family(world: World, answers: Answers) -> None:
    told = await explanation(world, answers["monthly_cap_exceeded"]["id"])
    card, shop, companion = answers["monthly_cap_exceeded"]["card"], world.till.name, told["facts"]["companion"]
    assert told["in_words"] == {
        "english": f"On 7 October 2024 at 09:00 WITA, {shop} asked for Rp150.000 with the card ending in {card[-4:]}. "
        "It was declined, and no money moved. The till was told: This month's room is Rp20.000. If more is needed, "
        f"ask companion {companion}. Before it, the family had Rp1.220.000 of its assistance left. Of the month's "
        "Rp600.000, Rp580.000 was used. It had made 2 of the month's 3 purchases.",
        "indonesian": f"Pada 7 Oktober 2024 pukul 09.00 WITA, {shop} meminta Rp150.000 dengan kartu berakhiran "
        f"{card[-4:]}. Permintaan itu ditolak, dan tidak ada uang yang terpakai. Kepada kasir dikatakan: Sisa bulan "
        f"ini Rp20.000. Jika perlu lebih, hubungi pendamping {companion}. Sebelumnya sisa bantuan Rp1.220.000. Dari "
        "jatah bulan itu Rp600.000 sudah terpakai Rp580.000. Sudah 2 dari 3 kali belanja bulan itu.",
    }


async def test_what_the_first_stages_did_not_let_the_till_know_is_not_in_the_paragraph(
    world: World, answers: Answers
) -> None:
    told = await explanation(world, answers["card_lost"]["id"])
    assert "left" not in told["in_words"]["english"]
    assert "sisa" not in told["in_words"]["indonesian"].lower()


EVERYTHING: Final = (
    "DELETE FROM signal_mark",
    """UPDATE programme
          SET month_cap_rupiah = 1, month_packages = 1, package_rupiah = 1, entitlement_rupiah = 1,
              starts_at = '2023-01-01', ends_at = '2023-02-01', name = 'Lain', operator_name = 'Lain',
              zone = 'Asia/Jayapura', above_ceiling = 'reduce', details_required = 'never', cash_categories = '{}',
              package_counting = 'no_limit'
    """,
    "INSERT INTO month_cap VALUES ('samarinda-2024', '2024-10-01', 7, 7)",
    "UPDATE price_ceiling SET price_rupiah = 5, source = 'lain'",
    "UPDATE price_ceiling SET valid_from = '2023-01-01' WHERE product = 'beras premium'",
    "DELETE FROM price_ceiling",
    "DELETE FROM product",
    "DELETE FROM category",
    "UPDATE companion SET label = 'Q' || label",
    """UPDATE merchant
          SET name = 'Lain', status = 'suspended', opens_at = '01:00', closes_at = '02:00', admitted_on = '2020-01-01',
              leaves_on = '2020-01-02'
    """,
    "DELETE FROM terminal",
    "ALTER TABLE payout_account DROP CONSTRAINT payout_account_programme_id_merchant_id_fkey",
    "DELETE FROM merchant",
    "UPDATE district SET name = 'Lain'",
    "UPDATE card SET status = 'replaced', expires_on = '2020-01-01'",
    """INSERT INTO card
       SELECT programme_id, 'crd_new' || right(card_id, 23), beneficiary_id, card_digest || '\\x01', key_id, '0000',
              'active', '2030-01-01'
         FROM card
    """,
    """UPDATE beneficiary
          SET status = 'removed', district_code = 'lain', companion_id = (SELECT min(companion_id) FROM companion)
    """,
    "UPDATE voucher SET revoked_at = now(), expires_at = expires_at + interval '1 day'",
    "UPDATE allowance SET cap_rupiah = cap_rupiah + 1",
    "UPDATE wallet SET available_rupiah = 1, version = version + 100",
)


async def test_an_explanation_is_the_same_long_after_everything_has_changed_or_is_gone(
    world: World, answers: Answers
) -> None:
    before = {name: await explanation(world, answer["id"]) for name, answer in answers.items()}
    for statement in EVERYTHING:
        await set_(world, statement)
    world.at(LONG_AFTER)
    for name, told in before.items():
        after = await explanation(world, told["authorization_id"])
        assert as_decided(after) == as_decided(told), name
        assert after["now"]["as_of"].startswith("2025-03-03T10:00:00")
    assert (await explanation(world, answers["approved"]["id"]))["now"]["status"] == "expired"


async def test_how_the_money_stands_is_that_of_now(world: World) -> None:
    sold = await world.authorise()
    first = await explanation(world, sold["id"])
    assert (first["now"]["status"], first["now"]["held_amount"]) == ("held", 150_000)
    assert first["now"]["in_words"]["english"] == "Rp150.000 is held for the shop."
    assert (await world.capture(sold["id"], amount=100_000)).status == 201
    refund = {"amount": 30_000, "reason": "telur pecah"}
    path = f"/v1/authorizations/{sold['id']}/refunds"
    assert (await world.post(path, refund, key=world.fresh_key())).status == 201
    later = await explanation(world, sold["id"])
    assert as_decided(later) == as_decided(first)
    assert [event["type"] for event in later["now"]["events"]] == [
        "authorised",
        "captured",
        "remainder_released",
        "refunded",
    ]
    assert later["now"]["in_words"] == {
        "english": "Rp100.000 was booked for the shop. Rp30.000 of it was refunded to the family.",
        "indonesian": "Rp100.000 sudah dibukukan untuk warung. Rp30.000 sudah dikembalikan kepada keluarga.",
    }
    await world.books_balance()


async def test_no_card_number_no_nik_and_no_name_of_a_person_is_in_it(world: World, answers: Answers) -> None:
    keys = Keys(SANDBOX_ROOT_KEY)
    secrets = {answer["card"] for answer in answers.values()} | {answer["card"][:12] for answer in answers.values()}
    for table, column, key in (
        ("beneficiary", "name_sealed", "beneficiary_id"),
        ("beneficiary", "nik_sealed", "beneficiary_id"),
        ("companion", "name_sealed", "companion_id"),
    ):
        for row in await world.database.fetch(f"SELECT {key}, {column} FROM {table}"):
            secrets.add(keys.open_field(row[column], f"{table}.{column}:{row[key]}"))
    assert len(secrets) > 2 * 987
    for answer in answers.values():
        text = orjson.dumps(await explanation(world, answer["id"])).decode()
        assert not [secret for secret in secrets if secret in text]
        if answer["reason"] != "card_unknown":
            assert f'"last_four":"{answer["card"][-4:]}"' in text


async def test_an_operator_asks_for_it_over_http_and_a_till_does_not(world: World, answers: Answers) -> None:
    for reply in answers.values():
        path = f"/v1/authorizations/{reply['id']}/explanation"
        told = await get(world, path, by=operators_key(world))
        assert told.status == 200
        assert told["reason"] == reply["reason"]
    assert (await get(world, path, by=world.till.key)).status == 403
    assert (await get(world, path, by=companion_of(world).key)).status == 403


async def test_another_programmes_authorisation_is_not_there(world: World) -> None:
    sold = await world.authorise()
    assert await explanation_document(world.database, "another", sold["id"], world.clock) is None
    assert await explanation_document(world.database, PROGRAMME, "auth_nowhere", world.clock) is None
    assert (await explanation(world, sold["id"]))["authorization_id"] == sold["id"]


async def test_a_decision_from_before_the_history_began_says_what_it_does_not_know(
    world: World, answers: Answers
) -> None:
    """As after the migration that began it: the settings of today are there, under a later version."""
    await world.database.execute("ALTER TABLE reference_history DISABLE TRIGGER USER")
    version = await world.database.fetchval("SELECT version FROM reference WHERE programme_id = $1", PROGRAMME)
    await world.database.execute("DELETE FROM reference_history WHERE version < $1", version)
    await world.change(package_rupiah=123_456)
    told = await explanation(world, answers["price_above_ceiling"]["id"])
    assert (told["settings_known"], told["rules_agree"], told["not_recorded"]) == (False, None, ["settings"])
    assert "settings" not in told
    assert "catalogue" not in told["lines"][1]
    assert "123456" not in orjson.dumps(told).decode()
    assert told["reasons"][0]["english"].startswith("The price of line 2 is above the ceiling of (not recorded) per kg")
    assert told["in_words"]["indonesian"].startswith(f"Pada 7 Oktober 2024 pukul 09.00 +0800, {world.till.merchant_id}")


CHANGES: Final = (
    {"month_cap_rupiah": 400_000},
    {"month_cap_rupiah": None},
    {"month_packages": 3},
    {"package_rupiah": 250_000},
    {"package_counting": "by_value"},
    {"package_counting": "per_purchase"},
    {"above_ceiling": "reduce"},
    {"above_ceiling": "decline"},
    {"details_required": "always"},
    {"details_required": "where_ceiling"},
    {"cash_categories": ["tunai", "ikan_kaleng"]},
    {"cash_categories": ["tunai", "pulsa"]},
)
STATEMENTS: Final = (
    "UPDATE price_ceiling SET price_rupiah = price_rupiah + 300 WHERE product = 'beras premium'",
    "UPDATE price_ceiling SET valid_from = valid_from + 200 WHERE product = 'telur ayam ras'",
    "UPDATE merchant SET opens_at = '09:30', closes_at = '21:00' WHERE district_code = '64.72.05'",
    "UPDATE merchant SET opens_at = NULL, closes_at = NULL",
    "UPDATE product SET gtin = '8991002101234' WHERE name = 'beras premium'",
    "UPDATE category SET name = name || '!' WHERE category = 'susu'",
)


@pytest.mark.parametrize("seed", range(3))
async def test_the_books_are_enough_to_give_every_answer_again_byte_for_byte(world: World, seed: int) -> None:
    """Bursts of random purchases, with random changes between them; what the rules said once they say again."""
    chance = Random(seed)
    cards, tills = world.tills.cards[:12], world.tills.terminals[:4]
    for card in cards[:4]:
        await voucher(world, card, rupiah=chance.choice([0, 150_000]), packages=chance.choice([1, 2]))
    for _ in range(6):
        burst = [(chance.choice(cards).card_number, chance.choice(tills), _a_basket(chance)) for _ in range(20)]
        # At once: the decisions of one batch see what those before them did.
        replies = await asyncio.gather(
            *(answered(world.authorise, till=till, card_number=card, **basket) for card, till, basket in burst)
        )
        for reply, (_, till, _) in zip(replies, burst, strict=True):
            if reply["decision"] == "approved" and chance.random() < 0.3:
                await world.void(reply["id"], till=till)
        await world.change(**chance.choice(CHANGES))
        await world.database.execute(chance.choice(STATEMENTS))
        status = chance.choice(["active", "active", "lost", "blocked"])
        await world.database.execute(
            "UPDATE card SET status = $2 WHERE beneficiary_id = $1", cards[-1].beneficiary_id, status
        )
        world.later(days=chance.choice([0, 1, 12]))
    rows = await world.database.fetch("SELECT a.*, c.last_four FROM authorisation a LEFT JOIN card c USING (card_id)")
    assert len(rows) == 120
    assert len({row["reason"] for row in rows}) > 5
    for row in rows:
        recorded = recorded_of(row)
        then = await seen_at(world.database, PROGRAMME, recorded.reference_version, recorded.merchant_id)
        again = decided_again(recorded, then)
        assert then is not None
        assert again is not None
        assert agrees(recorded, again), recorded
        purchase, known, told = purchase_of(recorded), facts_of(recorded, then), recorded.answer
        authorisation_id = AuthorisationId(told["id"])
        hold = placed_hold(authorisation_id, known, again, captured=purchase.capture)
        identity = Identity(
            authorisation_id=authorisation_id,
            approval_code=told["approval_code"],
            expires_at=hold.expires_at if hold else None,
        )
        assert orjson.dumps(decision_document(purchase, known, again, identity, hold)) == row["answer"]


def _a_basket(chance: Random) -> dict[str, Any]:
    lines = chance.choices(
        [
            FISH,
            {"category": "ikan_kaleng", "amount": 120_000},
            RICE,
            DEAR_RICE,
            RICE | {"product": "8991002101234"},
            {**THREE_LINES[1], "quantity": "2.5", "unit_price": 30001, "amount": 75003},
            {"category": "beras", "amount": 20_000},
            {"category": "rokok", "amount": 25_000},
            {"category": "pulsa", "amount": 5_000},
        ],
        weights=[9, 9, 9, 3, 3, 9, 1, 1, 1],
        k=chance.randint(1, 3),
    )
    return {"lines": lines, "partial_approval": chance.random() < 0.4, "capture": chance.random() < 0.3}
