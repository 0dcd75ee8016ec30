"""A family as the roll has it, in one digest: whether a list was compared with what is still so. SQL only."""

from typing import Final

SEEN: Final = """sha256(convert_to(concat_ws('|', b.companion_id, b.district_code, encode(b.name_sealed, 'hex'),
              coalesce(encode(b.kk_digest, 'hex'), ''),
              (SELECT string_agg(c.card_id || c.status, ',' ORDER BY c.card_id) FROM card c
                WHERE c.programme_id = b.programme_id AND c.beneficiary_id = b.beneficiary_id)), 'UTF8'))"""
"""Of `beneficiary b`: its companion, kecamatan, name, family card and cards. Its status is not in it: to suspend a
family meanwhile contradicts no list."""
