"""The bank beside a play: a settlement day is a round, and afterwards the books have followed what it told."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from authz_service.bank.following import follow
from authz_service.bank.partners import SignatureStyle, add_key, add_partner
from authz_service.bank.signature import KEY_BITS
from authz_service.clock import Clock
from authz_service.database import Connection
from authz_service.keys import Keys
from authz_service.reconciliation.reconciling import Reconciled, reconcile_statement
from authz_service.reconciliation.statement_files import read_statement
from authz_service.reconciliation.statement_lines import Format
from authz_service.settings import Settings
from authz_service.simulation.bank import Bank
from authz_service.simulation.identity import Identity
from authz_service.simulation.orders import Deposit, PaymentOrder
from authz_service.simulation.statement import Statement
from authz_service.vocabulary import Chance, ProgrammeId

PARTNER: Final = "BANKALTIMTARA"
DESK: Final = "dinsos"
CARD_DESK: Final = "meja kartu bank"
_ORDERS: Final = """
-- What the bank was ever asked to pay.
SELECT i.instruction_id AS reference, b.number AS batch, i.amount_rupiah, i.bank_code, i.account_number, i.holder
  FROM payout_instruction i
  JOIN settlement_batch b USING (programme_id, batch_id)
 WHERE i.programme_id = $1
 ORDER BY i.instruction_id
"""
_ANNOUNCED: Final = """
-- What the city has said that it will pay in.
SELECT reference, amount_rupiah FROM expected_funding WHERE programme_id = $1 ORDER BY reference
"""
_AT_THE_BANK: Final = """
-- The money that the books say is there.
SELECT coalesce(sum(CASE WHEN debit_account_id = 'fund' THEN amount_rupiah ELSE -amount_rupiah END), 0)::bigint
  FROM transfer
 WHERE programme_id = $1 AND 'fund' IN (debit_account_id, credit_account_id)
"""
_ZONE: Final = ZoneInfo("Asia/Makassar")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where the play is: one connection that nobody else uses meanwhile, and the service's settings and clock."""

    connection: Connection
    settings: Settings
    programme_id: ProgrammeId
    clock: Clock
    chance: Chance


async def known_bank(
    stage: Stage, style: SignatureStyle, partner_id: str = PARTNER, private_key: RSAPrivateKey | None = None
) -> Identity:
    """The programme has that bank, with its private key or a new one, and with a new secret."""
    connection, programme_id, now = stage.connection, stage.programme_id, stage.clock.estimate()
    private_key = private_key or generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    await add_partner(
        connection,
        programme_id,
        partner_id,
        label="Bankaltimtara",
        signature=style,
        signs_the_query=True,
        actor=DESK,
        now=now,
        chance=stage.chance,
    )
    numbers = [
        await add_key(
            connection, programme_id, partner_id, each, older_end_at=now, actor=DESK, now=now, chance=stage.chance
        )
        for each in (private_key.public_key(), None)
    ]
    secret = Keys(stage.settings.root_key.get_secret_value()).bank_secret(partner_id, numbers[-1])
    return Identity(partner_id=partner_id, style=style, private_key=private_key, secret=secret)


async def opened_statement(stage: Stage) -> Statement:
    """Of an account that has what the books say today."""
    opened_on = stage.clock.estimate().astimezone(_ZONE).date()
    return Statement(opened_on=opened_on, opening_rupiah=await at_the_bank(stage))


async def at_the_bank(stage: Stage) -> int:
    rupiah: int = await stage.connection.fetchval(_AT_THE_BANK, stage.programme_id)
    return rupiah


async def ordered(stage: Stage) -> Sequence[PaymentOrder]:
    """All payments that any batch has ordered."""
    return [PaymentOrder(**row) for row in await stage.connection.fetch(_ORDERS, stage.programme_id)]


async def announced(stage: Stage) -> Sequence[Deposit]:
    """All money that the city has announced."""
    return [Deposit(**row) for row in await stage.connection.fetch(_ANNOUNCED, stage.programme_id)]


async def play_bank(bank: Bank, stage: Stage) -> None:
    """The bank has every order and all announced money, has had a round, and the books have followed what it told."""
    bank.take([*await announced(stage), *await ordered(stage)])
    bank.pay()
    await bank.tell()
    while (
        await follow(stage.connection, stage.settings, stage.programme_id, clock=stage.clock, chance=stage.chance)
    ).references:
        pass


async def read_by_the_books(statement: str, stage: Stage) -> Reconciled:
    """The bank's statement was read as by `authz reconcile`, and the books follow what it shows."""
    return await reconcile_statement(
        stage.connection,
        stage.settings,
        stage.programme_id,
        read_statement(statement.encode(), Format.CSV),
        actor=CARD_DESK,
        clock=stage.clock,
        chance=stage.chance,
    )
