"""A family is found by the words of its name, as they sound; the database knows none of them."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from authz_service.keys import Keys
from authz_service.names import name_digests, words_of
from authz_service.roll.naming import fill_name_words
from authz_service.settings import SANDBOX_ROOT_KEY
from authz_service.vocabulary import ProgrammeId
from tests.test_people import SAMARINDA
from tests.world import PROGRAMME

KEYS = Keys("a root key of this test")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Siti Noer", "SITTI  NUR"),
        ("Moh. Djafar", "Muhammad Jafar"),
        ("Nur'aini", "Nuraini"),
        ("Chairul", "Khairul"),
        ("José", "Jose"),
        ("Tjoet Njak", "cut njak"),
    ],
)
def test_two_spellings_of_one_name_are_one(one: str, other: str) -> None:
    assert words_of(one) == words_of(other)


def test_numbers_and_other_names_stay_themselves() -> None:
    assert words_of("KELUARGA SINTETIS 0011") == {"keluarga", "sintetis", "0011"}
    assert words_of("Siti") != words_of("Sita")
    assert words_of(" -- ") == frozenset()


def test_each_programme_and_each_key_has_digests_of_its_own() -> None:
    here = name_digests(KEYS, "one", "Siti Aminah")
    assert len(set(here)) == 2
    assert not set(here) & set(name_digests(KEYS, "another", "Siti Aminah"))
    assert not set(here) & set(name_digests(Keys("another root key of this test"), "one", "Siti Aminah"))
    assert here == name_digests(KEYS, "one", "aminah SITI")


@pytest.fixture
async def database(enrolled_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(enrolled_url)
    yield connection
    await connection.close()


async def test_families_of_before_the_index_are_filled_in_and_a_second_run_finds_nothing(
    database: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    keys = Keys(SANDBOX_ROOT_KEY)
    words = "SELECT beneficiary_id, name_words FROM beneficiary ORDER BY 1"
    enrolled = await database.fetch(words)
    assert all(row["name_words"] for row in enrolled)
    versions = await database.fetch("SELECT version FROM wallet ORDER BY beneficiary_id")
    await database.execute("UPDATE beneficiary SET name_words = NULL")
    assert await fill_name_words(database, keys, SAMARINDA) == len(enrolled)
    assert await database.fetch(words) == enrolled
    assert await database.fetch("SELECT version FROM wallet ORDER BY beneficiary_id") == versions
    assert await fill_name_words(database, keys, ProgrammeId(PROGRAMME)) == 0
