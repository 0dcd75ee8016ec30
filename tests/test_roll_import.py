"""A list of families becomes the roll: what it changes, what it costs, what is refused, and who may say so."""

import os
from pathlib import Path

import orjson
import pytest

from authz_service.database import open_office_pool
from authz_service.keys import Keys
from authz_service.names import name_digests
from authz_service.orders import OrderKind
from authz_service.roll.importing.faults import Fault
from authz_service.roll.importing.staging import Faulty
from authz_service.roll.orders import RollRefused
from authz_service.settings import SANDBOX_ROOT_KEY
from authz_service.sweeping import Sweeper
from tests.harm import address_of
from tests.operators import Operator, a_card_number, a_newcomer
from tests.rolls import (
    SAMARINDA_2024,
    WITH_AMOUNTS,
    Family,
    RollDesk,
    a_coming_day,
    a_family,
    as_csv,
    family_card,
    the_roll,
)
from tests.world import PROGRAMME, WITA, World


@pytest.fixture
def desk(world: World, tmp_path: Path) -> RollDesk:
    return RollDesk(world, world.database, tmp_path)


@pytest.fixture
async def roll(world: World) -> list[Family]:
    return await the_roll(world)


async def test_each_kind_of_difference_is_shown_and_becomes_the_roll(
    world: World, desk: RollDesk, roll: list[Family], operator: Operator
) -> None:
    """The golden list: two enter, one leaves, one merges, four change; the rest is as it was."""
    cards = world.tills.cards
    first = await desk.made_the_roll(roll)
    assert (first.unchanged, first.entering, first.changing, first.merging, first.leaving) == (987, 0, 0, 0, 0)
    await operator.remove(cards[20])
    await operator.remove(cards[21])
    await operator.vouch(cards[2])
    await world.authorise(card_number=cards[0].card_number, amount=100_000, capture=True)
    held = await world.authorise(card_number=cards[1].card_number, amount=50_000)
    number = a_card_number()
    changed = {
        2: {"PENDAMPING": "P-120"},
        3: {"NOMOR_KARTU": number},
        4: {"NAMA": "NAMA YANG BENAR"},
        5: {"KECAMATAN": "Kec. Palaran", "NAMA": "NAMA LAIN"},
        # The same family card as the second's, which the list leaves out.
        6: {"NO_KK": family_card(1)},
    }
    newcomers = [a_family(), a_family(JUMLAH="Rp1.000.000")]
    families = [
        {**family, **changed.get(place, {}), "JUMLAH": ""}
        for place, family in enumerate(roll)
        if place not in {0, 1, 20, 21}
    ] + [{"JUMLAH": "", **each} for each in newcomers]

    found = await desk.waiting(families, layout=WITH_AMOUNTS)
    assert (found.unchanged, found.entering, found.changing, found.merging, found.leaving) == (978, 2, 5, 1, 1)
    assert (found.granting_rupiah, found.returning_rupiah, found.later_rupiah) == (2_800_000, 1_700_000, 1_800_000)
    assert found.unallocated_rupiah == 3_600_000
    assert await operator.unallocated() == 3_600_000
    await desk.approve(found.import_id)
    applied = await desk.apply(found.import_id)
    assert (await world.authorise())["reason"] == "beneficiary_removed"
    entered = await world.authorise(card_number=str(newcomers[0]["NOMOR_KARTU"]), amount=10_000)
    assert entered["remaining"]["programme"] == 1_790_000
    written = await desk.write()
    assert written is not None
    assert (written.left, written.cards_taken, await desk.rows()) == (0, (), 0)

    assert [await desk.status(card.beneficiary_id) for card in cards[:4]] == [
        *("removed", "removed", "active", "active")
    ]
    assert await operator.unallocated() == 3_600_000 - 2_800_000 + 1_700_000
    merged = await world.database.fetchrow(
        "SELECT merged_into, leaves_at FROM beneficiary WHERE beneficiary_id = $1", cards[1].beneficiary_id
    )
    assert tuple(merged or ()) == (cards[6].beneficiary_id, None)
    assert (await world.capture(held["id"])).status == 201
    assert await world.wallet(cards[1]) == (0, 0, 50_000)
    old, new = await world.authorise(card_number=cards[3].card_number), await world.authorise(card_number=number)
    assert (old["reason"], new["decision"]) == ("card_blocked", "approved")
    moved = await world.database.fetchval(
        "SELECT count(*) FROM voucher WHERE beneficiary_id = $1 AND revoked_at IS NOT NULL", cards[2].beneficiary_id
    )
    assert moved == 1
    changes = await world.database.fetch(
        "SELECT kind, count(*) AS rows, min(actor) AS actor, max(effective_at) AS last_at"
        "  FROM family_change WHERE detail ->> 'import_id' = $1 GROUP BY kind ORDER BY kind",
        found.import_id,
    )
    assert {row["kind"]: row["rows"] for row in changes} == {
        "card": 1,
        "details": 3,
        "enter": 2,
        "merge": 1,
        "move": 1,
        "remove": 1,
    }
    assert {row["actor"] for row in changes} == {"Dinsos"}
    await _each_is_audited_and_found(world, found.import_id, [str(newcomers[0]["NAMA"]), "NAMA YANG BENAR"])
    assert {row["last_at"] for row in changes if row["kind"] != "enter"} == {applied.effective_at}
    told = await world.database.fetch("SELECT type, data FROM event ORDER BY position DESC LIMIT 9")
    assert sorted({row["type"] for row in told}) == [
        *("card.issued", "card.replaced", "family.entered", "family.left", "family.merged", "family.moved")
    ]
    [left] = [orjson.loads(row["data"]) for row in told if row["type"] == "family.left"]
    assert (left["beneficiary_id"], left["returned_amount"]) == (cards[0].beneficiary_id, 1_700_000)
    pointer = await world.database.fetchval("SELECT roll_import_id FROM programme")
    assert pointer == found.import_id
    again = await desk.waiting(families, layout=WITH_AMOUNTS)
    assert (again.unchanged, again.entering, again.changing, again.merging, again.leaving) == (985, 0, 0, 0, 0)
    await world.books_balance()


async def _each_is_audited_and_found(world: World, import_id: str, names: list[str]) -> None:
    """Every change of the list has its entry in the audit log, and who has a new name is found by it."""
    without = await world.database.fetchval(
        "SELECT count(*) FROM family_change c WHERE c.detail ->> 'import_id' = $1 AND NOT EXISTS ("
        " SELECT FROM audit_entry a WHERE a.after ->> 'change_id' = c.change_id"
        " AND a.action = 'family_' || c.kind AND a.subject_id = c.beneficiary_id AND a.reason = c.reason)",
        import_id,
    )
    assert without == 0
    keys = Keys(SANDBOX_ROOT_KEY)
    for name in names:
        words = name_digests(keys, PROGRAMME, name)
        assert await world.database.fetchval("SELECT count(*) FROM beneficiary WHERE name_words = $1", words)


async def test_a_list_for_a_coming_day_holds_from_its_midnight_without_a_worker(
    world: World, desk: RollDesk, roll: list[Family], operator: Operator
) -> None:
    await operator.remove(world.tills.cards[20])
    newcomer, day = a_family(), a_coming_day(world)
    import_id = await desk.approved([*roll[1:20], *roll[21:], newcomer], on=day)
    await desk.apply(import_id)
    assert await desk.write() is None
    assert (await world.authorise(amount=1_000))["decision"] == "approved"
    assert (await world.authorise(card_number=newcomer["NOMOR_KARTU"]))["reason"] == "beneficiary_suspended"
    announced = await world.database.fetchval("SELECT count(*) FROM event WHERE type = 'family.change_announced'")
    assert announced == 1
    world.at(world.now.replace(year=day.year, month=day.month, day=day.day, hour=9).astimezone(WITA))
    assert (await world.authorise())["reason"] == "beneficiary_removed"
    assert (await world.authorise(card_number=newcomer["NOMOR_KARTU"], amount=1_000))["decision"] == "approved"
    written = await desk.write()
    assert written is not None
    assert not written.left
    await operator.write_due()
    await world.books_balance()


async def test_nobody_approves_a_list_of_their_own_and_nobody_applies_one_that_is_not_approved(
    world: World, desk: RollDesk, roll: list[Family]
) -> None:
    found = await desk.waiting(roll[1:])
    for actor in ("Dinsos", " dinsos "):
        with pytest.raises(RollRefused, match="somebody else has to approve it"):
            await desk.approve(found.import_id, actor)
    with pytest.raises(RollRefused, match="cannot be applied: it is waits for approval"):
        await desk.apply(found.import_id)
    await desk.approve(found.import_id)
    with pytest.raises(RollRefused, match="does not wait for approval: it is approved"):
        await desk.approve(found.import_id)
    await desk.apply(found.import_id)
    await desk.write()
    orders = await world.database.fetch(
        "SELECT kind, actor FROM office_order WHERE kind LIKE 'roll%' ORDER BY order_id"
    )
    assert [tuple(row) for row in orders] == [
        (OrderKind.ROLL_IMPORTED, "Dinsos"),
        (OrderKind.ROLL_APPROVED, "Sekretaris"),
        (OrderKind.ROLL_APPLIED, "Sekretaris"),
    ]
    assert (await desk.apply(found.import_id)).finished_at is not None
    await world.books_balance()


async def test_a_withdrawn_list_leaves_nothing_personal_and_the_next_may_come(
    world: World, desk: RollDesk, roll: list[Family]
) -> None:
    found = await desk.waiting(roll)
    assert await desk.rows() == 987
    with pytest.raises(RollRefused, match=f"The list {found.import_id} waits"):
        await desk.imported(roll)
    await desk.approve(found.import_id)
    await desk.withdraw(found.import_id)
    assert await desk.rows() == 0
    with pytest.raises(RollRefused, match="cannot be applied: it is withdrawn"):
        await desk.apply(found.import_id)
    await desk.waiting(roll)


async def test_what_changed_since_the_list_was_compared_is_named_and_nothing_is_approved_or_applied(
    world: World, desk: RollDesk, roll: list[Family], operator: Operator
) -> None:
    cards = world.tills.cards
    number = a_card_number()
    families = [*roll[1:20], {**roll[20], "NOMOR_KARTU": number}, *roll[21:]]
    import_id = await desk.approved(families)
    await operator.suspend(cards[3])
    await operator.remove(cards[4])
    await operator.enter(a_newcomer())
    await operator.move(cards[5], "P-100")
    await operator.new_card(number, cards[6])
    with pytest.raises(RollRefused, match="has changed since") as refused:
        await desk.apply(import_id)
    said = str(refused.value)
    assert "in 4 families" in said
    for what in (f"{cards[4].beneficiary_id} has left", "has entered", f"{cards[5].beneficiary_id} was changed"):
        assert what in said
    assert cards[3].beneficiary_id not in said
    await desk.withdraw(import_id)
    await world.books_balance()


async def test_a_leaver_for_whom_a_change_waits_is_refused_until_that_is_withdrawn(
    world: World, desk: RollDesk, roll: list[Family], operator: Operator
) -> None:
    await operator.suspend(on=a_coming_day(world))
    with pytest.raises(RollRefused, match=f"first of them {world.card.beneficiary_id}: withdraw it first"):
        await desk.imported(roll[1:])
    await operator.resume()
    await desk.made_the_roll(roll[1:])
    await world.books_balance()


async def test_newcomers_get_what_is_unallocated_and_never_what_leavers_have_yet_to_give_back(
    world: World, desk: RollDesk, roll: list[Family], operator: Operator
) -> None:
    families = [*roll[2:], a_family()]
    with pytest.raises(RollRefused, match=r"Rp1\.800\.000 for 1 family is not there: Rp0 is unallocated") as refused:
        await desk.imported(families)
    assert "give back Rp3.600.000 once they have left" in str(refused.value)
    assert await desk.rows() == 0
    assert (await desk.made_the_roll(families, without_newcomers=True)).leaving == 2
    assert (await desk.made_the_roll(families)).entering == 1
    assert await operator.unallocated() == 1_800_000
    await world.books_balance()


async def test_a_list_that_takes_many_off_needs_their_number(world: World, desk: RollDesk, roll: list[Family]) -> None:
    with pytest.raises(RollRefused, match=r"887 of 987 families off the roll, more than 10 %.*--leavers 887"):
        await desk.imported(roll[:100])
    with pytest.raises(RollRefused, match="887 families would leave the roll, and not 886"):
        await desk.imported(roll[:100], leavers=886)
    assert (await desk.waiting(roll[:100], leavers=887)).leaving == 887


async def test_every_wrong_row_is_said_in_a_file_that_is_corrected_and_sent_again(
    world: World, desk: RollDesk, roll: list[Family], operator: Operator
) -> None:
    cards = world.tills.cards
    await operator.remove(cards[0])
    await operator.new_card(a_card_number(), cards[1])
    right: list[Family] = [{**family, "JUMLAH": ""} for family in roll[1:]]
    right[0]["NOMOR_KARTU"] = ""
    newcomer: Family = {**a_family(), "JUMLAH": ""}
    wrong: list[tuple[dict[str, object], str]] = [
        ({"NIK": "64729952058700"}, "NIK harus 16 angka"),
        ({"NIK": "6.47299E+15"}, "NIK tersimpan sebagai angka"),
        ({"NIK": "0072995205870001"}, "NIK tidak mungkin: kode wilayah"),
        ({"NIK": "6472993002870001"}, "NIK tidak mungkin: tanggal"),
        ({"NIK": "6472993112870000"}, "NIK tidak mungkin: nomor urut"),
        ({"NO_KK": ""}, "Nomor KK harus 16 angka"),
        ({"NO_KK": "6472987113200001"}, "Nomor KK tidak mungkin: tanggal"),
        ({"NAMA": " "}, "Nama kosong"),
        ({"NAMA": "=HYPERLINK(1)"}, "NAMA berisi rumus"),
        ({"KECAMATAN": "Tenggarong"}, "Kecamatan tidak dikenal"),
        ({"PENDAMPING": "P-999"}, "Pendamping tidak dikenal"),
        ({"NOMOR_KARTU": "9360000000000014"}, "Nomor kartu salah"),
        ({"NOMOR_KARTU": ""}, "belum punya nomor kartu"),
        ({"NOMOR_KARTU": cards[5].card_number}, "sudah dipakai keluarga lain"),
        ({"JUMLAH": "1.900.000"}, "paling banyak Rp1.800.000"),
        ({"NIK": str(roll[0]["NIK"])}, "sudah dikeluarkan"),
        ({"NIK": str(roll[8]["NIK"])}, "NIK sama dengan baris"),
    ]
    bad = [{**a_family(), "JUMLAH": "", **each} for each, _ in wrong]
    dead: Family = {**right[0], "NOMOR_KARTU": cards[1].card_number}
    path = as_csv([dead, *right[1:], *bad, newcomer], desk.directory / "daftar.csv", delimiter=";")
    faulty = await desk.imported(path, layout=WITH_AMOUNTS)
    assert isinstance(faulty, Faulty)
    assert await desk.rows() == 0
    assert faulty.returned == desk.directory / "daftar-kesalahan.csv"
    assert faulty.returned.stat().st_mode & 0o777 == 0o600
    # The dead card, the row with the other of two equal NIK, and the wrong ones.
    assert faulty.rows == len(wrong) + 2
    assert dict(faulty.faults)[Fault.NIK_TWICE] == 2
    lines = faulty.returned.read_text(encoding="utf-8-sig").splitlines()
    assert lines[0] == "NIK;NO_KK;NAMA;KECAMATAN;ALAMAT;PENDAMPING;NOMOR_KARTU;JUMLAH;KESALAHAN"
    assert len(lines) == 1 + len(right) + len(bad) + 1
    assert "Kartu ini sudah tidak berlaku" in lines[1]
    for line, (_, said) in zip(lines[-len(bad) - 1 :], wrong, strict=False):
        assert said in line.rpartition(";")[2]
    assert ";'=HYPERLINK(1);" in "\n".join(lines)
    assert lines[-1].endswith(";")

    # Corrected by taking out what cannot be helped, and sent again as it is.
    mended = [lines[0], lines[1].replace(cards[1].card_number, ""), *lines[2 : 1 + len(right)], lines[-1]]
    faulty.returned.write_text("\r\n".join(mended), encoding="utf-8-sig")
    found = await desk.waiting(faulty.returned, layout=WITH_AMOUNTS)
    assert (found.unchanged, found.entering, found.leaving) == (986, 1, 0)


async def test_a_household_that_is_known_under_another_nik_gets_only_what_the_list_says(
    world: World, desk: RollDesk, roll: list[Family], operator: Operator
) -> None:
    await desk.made_the_roll(roll[1:])
    newcomer: Family = {**a_family(NO_KK=family_card(1)), "JUMLAH": ""}
    families: list[Family] = [{**family, "JUMLAH": ""} for family in roll[2:]]
    faulty = await desk.imported([*families, newcomer], layout=WITH_AMOUNTS)
    assert isinstance(faulty, Faulty)
    assert faulty.faults == ((Fault.HOUSEHOLD, 1),)
    found = await desk.waiting([*families, {**newcomer, "JUMLAH": "600000"}], layout=WITH_AMOUNTS)
    assert (found.entering, found.merging, found.leaving, found.granting_rupiah) == (1, 1, 0, 600_000)
    await desk.approve(found.import_id)
    await desk.apply(found.import_id)
    await desk.write()
    assert (await world.authorise(card_number=world.tills.cards[1].card_number))["reason"] == "card_blocked"
    assert (await world.balance())["reason"] == "beneficiary_removed"
    await world.books_balance()


async def test_the_service_finishes_what_an_applied_list_has_left(
    world: World, desk: RollDesk, roll: list[Family]
) -> None:
    import_id = await desk.approved(roll[3:])
    await desk.apply(import_id)
    pool = await open_office_pool(world.settings, address_of(world))
    sweeper = Sweeper(settings=world.settings, room=None, pool=pool, clock=world.clock, chance=os.urandom)  # type: ignore[arg-type]
    await sweeper.change_families(SAMARINDA_2024)
    await pool.close()
    assert await desk.rows() == 0
    finished = await world.database.fetchval("SELECT finished_at FROM roll_import")
    assert finished is not None
    await world.books_balance()


@pytest.mark.parametrize("what", ["a pipe", "a device", "a directory"])
async def test_what_is_no_file_is_refused_and_not_waited_for(desk: RollDesk, tmp_path: Path, what: str) -> None:
    path = tmp_path / "list.csv"
    match what:
        case "a pipe":
            os.mkfifo(path)
        case "a device":
            path.symlink_to("/dev/zero")
        case _:
            path.mkdir()
    with pytest.raises(RollRefused, match=r"list\.csv is no file"):
        await desk.imported(path)
