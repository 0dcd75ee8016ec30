"""Of months and vouchers: what a family has used, and what covers it."""

from typing import Final

from authz_service.ledger.invariants.given import Invariant

MONTHS: Final = (
    Invariant(
        name="months_with_purchases_have_an_allowance",
        sentence="Every month in which a family bought something has its allowance.",
        query="""
SELECT format('%s %s: %s purchases', h.beneficiary_id, h.month, count(*)) AS what
  FROM hold h
 WHERE h.programme_id = $1
   AND NOT EXISTS (SELECT FROM allowance l
                    WHERE l.programme_id = $1 AND l.beneficiary_id = h.beneficiary_id AND l.month = h.month)
 GROUP BY h.beneficiary_id, h.month
""",
    ),
    Invariant(
        name="allowances_equal_their_purchases",
        sentence="A month's used rupiah and packages are what its purchases hold, or captured and did not refund.",
        query="""
SELECT format('%s %s: used %s and %s packages; its purchases use %s and %s', l.beneficiary_id, l.month, l.used_rupiah,
              l.packages_used, coalesce(h.used, 0), coalesce(h.packages, 0)) AS what
  FROM allowance l
  LEFT JOIN (SELECT beneficiary_id, month, sum(held_rupiah + captured_rupiah - refunded_rupiah) AS used,
                    sum(packages) AS packages
               FROM hold
              WHERE programme_id = $1
              GROUP BY beneficiary_id, month) h USING (beneficiary_id, month)
 WHERE l.programme_id = $1
   AND (l.used_rupiah <> coalesce(h.used, 0) OR l.packages_used <> coalesce(h.packages, 0))
""",
    ),
    Invariant(
        name="allowances_equal_what_vouchers_cover",
        sentence="A month's covered rupiah and packages are those that vouchers cover of its purchases.",
        query="""
SELECT format('%s %s: covered %s and %s packages; vouchers cover %s and %s', l.beneficiary_id, l.month,
              l.covered_rupiah, l.covered_packages, coalesce(u.covered, 0), coalesce(u.packages, 0)) AS what
  FROM allowance l
  LEFT JOIN (SELECT h.beneficiary_id, h.month, sum(u.used_rupiah) AS covered, sum(u.packages_used) AS packages
               FROM voucher_movement u
               JOIN hold h ON h.programme_id = $1 AND h.authorisation_id = u.authorisation_id
              WHERE u.programme_id = $1
              GROUP BY h.beneficiary_id, h.month) u USING (beneficiary_id, month)
 WHERE l.programme_id = $1
   AND (l.covered_rupiah <> coalesce(u.covered, 0) OR l.covered_packages <> coalesce(u.packages, 0))
""",
    ),
    Invariant(
        name="months_stay_within_their_caps",
        sentence="A month uses no more than its caps of rupiah and packages and what vouchers cover.",
        query="""
SELECT format('%s %s: used %s of %s, covered %s; %s packages of %s, covered %s', beneficiary_id, month, used_rupiah,
              cap_rupiah, covered_rupiah, packages_used, packages_cap, covered_packages) AS what
  FROM allowance
 WHERE programme_id = $1
   AND (used_rupiah > cap_rupiah + covered_rupiah OR packages_used > packages_cap + covered_packages)
""",
    ),
    Invariant(
        name="allowances_have_a_family",
        sentence="Every allowance is of a family of the programme.",
        query="""
SELECT format('%s %s', l.beneficiary_id, l.month) AS what
  FROM allowance l
 WHERE l.programme_id = $1
   AND NOT EXISTS (SELECT FROM beneficiary b WHERE b.programme_id = $1 AND b.beneficiary_id = l.beneficiary_id)
""",
    ),
    Invariant(
        name="vouchers_equal_their_uses",
        sentence="A voucher's used rupiah and packages are those that it covers of purchases.",
        query="""
SELECT format('%s: used %s and %s packages; its uses make %s and %s', v.voucher_id, v.used_rupiah, v.packages_used,
              coalesce(u.used, 0), coalesce(u.packages, 0)) AS what
  FROM voucher v
  LEFT JOIN (SELECT voucher_id, sum(used_rupiah) AS used, sum(packages_used) AS packages
               FROM voucher_movement
              WHERE programme_id = $1
              GROUP BY voucher_id) u USING (voucher_id)
 WHERE v.programme_id = $1
   AND (v.used_rupiah <> coalesce(u.used, 0) OR v.packages_used <> coalesce(u.packages, 0))
""",
    ),
    Invariant(
        name="vouchers_are_never_exceeded",
        sentence="What a voucher covers is never more than it gives.",
        query="""
SELECT format('%s: gives %s and %s packages, covers %s and %s', v.voucher_id, v.extra_rupiah, v.extra_packages,
              u.used, u.packages) AS what
  FROM voucher v
  JOIN (SELECT voucher_id, sum(used_rupiah) AS used, sum(packages_used) AS packages
          FROM voucher_movement
         WHERE programme_id = $1
         GROUP BY voucher_id) u USING (voucher_id)
 WHERE v.programme_id = $1 AND (u.used > v.extra_rupiah OR u.packages > v.extra_packages)
""",
    ),
    Invariant(
        name="vouchers_serve_their_own_month",
        sentence="A voucher covers only purchases of its own family and month.",
        query="""
SELECT format('%s is for %s %s and covers %s of %s %s', v.voucher_id, v.beneficiary_id, v.month, h.authorisation_id,
              h.beneficiary_id, h.month) AS what
  FROM voucher_movement u
  JOIN voucher v ON v.programme_id = $1 AND v.voucher_id = u.voucher_id
  JOIN hold h ON h.programme_id = $1 AND h.authorisation_id = u.authorisation_id
 WHERE u.programme_id = $1 AND (v.beneficiary_id <> h.beneficiary_id OR v.month <> h.month)
""",
    ),
    Invariant(
        name="vouchers_cover_no_more_than_was_bought",
        sentence="Vouchers cover no more of a purchase than is held, or captured and not refunded.",
        query="""
SELECT format('%s: held and bought %s, covered %s', h.authorisation_id,
              h.held_rupiah + h.captured_rupiah - h.refunded_rupiah, u.covered) AS what
  FROM hold h
  JOIN (SELECT authorisation_id, sum(used_rupiah) AS covered
          FROM voucher_movement
         WHERE programme_id = $1
         GROUP BY authorisation_id) u USING (authorisation_id)
 WHERE h.programme_id = $1 AND u.covered > h.held_rupiah + h.captured_rupiah - h.refunded_rupiah
""",
    ),
    Invariant(
        name="vouchers_get_back_no_more_than_they_gave",
        sentence="A voucher never gets back more of a purchase than it gave to it.",
        query="""
SELECT format('%s of %s: %s and %s packages', authorisation_id, voucher_id, sum(used_rupiah),
              sum(packages_used)) AS what
  FROM voucher_movement
 WHERE programme_id = $1
 GROUP BY authorisation_id, voucher_id
HAVING sum(used_rupiah) < 0 OR sum(packages_used) < 0
""",
    ),
    Invariant(
        name="vouchers_cover_nothing_before_they_are_approved",
        sentence="A voucher covers nothing before it is approved.",
        query="""
SELECT format('%s: %s, approved %s', m.transfer_id, t.created_at, coalesce(v.approved_at::text, 'never')) AS what
  FROM voucher_movement m
  JOIN voucher v ON v.programme_id = $1 AND v.voucher_id = m.voucher_id
  JOIN transfer t ON t.programme_id = $1 AND t.transfer_id = m.transfer_id
 WHERE m.programme_id = $1 AND (v.approved_at IS NULL OR v.approved_at > t.created_at)
""",
    ),
    Invariant(
        name="voucher_movements_have_their_transfer_and_voucher",
        sentence="Whatever is taken from a voucher, or goes back to it, does so by a transfer of that purchase.",
        query="""
SELECT format('voucher %s%s, transfer %s of %s%s', m.voucher_id, CASE WHEN v.voucher_id IS NULL THEN ' is missing' END,
              m.transfer_id, m.authorisation_id, CASE WHEN t.transfer_id IS NULL THEN ' is missing' END) AS what
  FROM voucher_movement m
  LEFT JOIN voucher v ON v.programme_id = $1 AND v.voucher_id = m.voucher_id
  LEFT JOIN transfer t ON t.programme_id = $1 AND t.transfer_id = m.transfer_id
                      AND t.authorisation_id = m.authorisation_id
 WHERE m.programme_id = $1 AND (v.voucher_id IS NULL OR t.transfer_id IS NULL)
""",
    ),
    Invariant(
        name="vouchers_have_a_family_and_a_companion",
        sentence="Every voucher is of a companion for a family of the programme.",
        query="""
SELECT format('%s: family %s%s, companion %s%s', v.voucher_id,
              v.beneficiary_id, CASE WHEN b.beneficiary_id IS NULL THEN ' is missing' END,
              v.companion_id, CASE WHEN c.companion_id IS NULL THEN ' is missing' END) AS what
  FROM voucher v
  LEFT JOIN beneficiary b ON b.programme_id = $1 AND b.beneficiary_id = v.beneficiary_id
  LEFT JOIN companion c ON c.programme_id = $1 AND c.companion_id = v.companion_id
 WHERE v.programme_id = $1 AND (b.beneficiary_id IS NULL OR c.companion_id IS NULL)
""",
    ),
)
