"""What companions and operators do, as the model has it: they vouch, and families come, change and go."""

from dataclasses import replace
from datetime import date
from typing import Any, Final

from tests.calls import NOT_FOUND, Answer, Call, Document, Id, Name, problem
from tests.tally import ENDS, STARTS, Extra, Family, Tally, Voucher, sums

VOUCHER_MOST, VOUCHERS_MOST, VOUCHERS_ALONE = (600_000, 2), (1_200_000, 6), (600_000, 2)
"""One voucher; all of a family and month; and how much of them no operator needs to approve."""
OPERATOR: Final = "an operator"
REFUSED: Final = Answer(409, {})
NOBODY: Final = Family(companion="", status="removed")


class Offices(Tally):
    # --- Vouchers ---

    def vouch(self, call: Call, family: str, month: date, extra: Extra) -> Answer:
        whose = self.families.get(family, NOBODY)
        if whose.companion != call.who:
            return NOT_FOUND
        if not max(STARTS.date(), self.month) <= month < ENDS.date():
            return problem(409, "month_not_open")
        if whose.status == "removed":
            return problem(409, "beneficiary_removed")
        if _is_more(extra, VOUCHER_MOST):
            return problem(422, "voucher_limit_exceeded")
        seen = self.copy().expire(family)
        mine = [name for name, each in self.vouchers.items() if (each.family, each.month) == (family, month)]
        given = {
            name: seen.covered_by(name) if self.vouchers[name].revoked else self.vouchers[name].extra for name in mine
        }
        if _is_more(sums(2, [extra, *given.values()]), VOUCHERS_MOST):
            rupiah, packages = sums(2, given.values())
            return problem(422, "voucher_month_limit_exceeded", given_amount=rupiah, given_packages=packages)
        alone = [each for name, each in given.items() if self.vouchers[name].approved == "alone"]
        approved = "" if _is_more(sums(2, [extra, *alone]), VOUCHERS_ALONE) else "alone"
        self.vouchers[call.name] = Voucher(
            family=family, companion=call.who, month=month, extra=extra, approved=approved
        )
        return Answer(201, self.shown(call.name))

    def approve_or_revoke(self, call: Call) -> Answer:
        voucher = self.vouchers.get(call.about)
        if voucher is None or call.who not in {voucher.companion, OPERATOR}:
            return NOT_FOUND
        status = self.status_of(call.about)
        if status in {"revoked", "expired"} or (call.kind == "approve" and status != "awaiting_approval"):
            return problem(409, "voucher_state_conflict", voucher_status=status)
        changed = {"revoked": True} if call.kind == "revoke" else {"approved": OPERATOR}
        self.vouchers[call.about] = replace(voucher, **changed)
        return Answer(200, self.shown(call.about))

    def status_of(self, name: Name) -> str:
        voucher = self.vouchers[name]
        if voucher.revoked or voucher.month < self.month:
            return "revoked" if voucher.revoked else "expired"
        if not voucher.approved:
            return "awaiting_approval"
        return "used_up" if self.copy().expire(voucher.family).covered_by(name) == voucher.extra else "live"

    def shown(self, name: Name) -> Document:
        rupiah, packages = self.copy().expire(self.vouchers[name].family).covered_by(name)
        used = {"used_amount": rupiah, "used_packages": packages}
        return {"id": Id(name), "status": self.status_of(name), "companion_id": self.vouchers[name].companion} | used

    # --- Orders ---

    def order(self, order: str, family: str = "", **what: Any) -> Answer:
        """What an operator orders is done at once and whole, or refused; a removal is final."""
        whose, number, month = self.families.get(family, NOBODY), what.get("card", ""), what.get("month")
        match order:
            case "cap" if month and self.month < month < ENDS.date() and self.caps_of(month) != what["caps"]:
                self.caps[month] = what["caps"]
            case "block" if number in self.cards and self.cards[number][1] == "active":
                self.cards[number] = (family, "blocked")
            case "enter" if family not in self.families and number not in self.cards and self.now < ENDS:
                self.families[family] = Family(companion=what["companion"], granted=what["rupiah"])
                self.cards[number] = (family, "active")
                return Answer(200, {"beneficiary_id": Id(family)})
            case _ if whose.status == "removed":
                return REFUSED
            case "suspend" | "resume" if what["status"] != whose.status:
                self.families[family] = replace(whose, status=what["status"])
            case "move" if what["companion"] != whose.companion:
                self.families[family] = replace(whose, companion=what["companion"])
                self._revoke_all(family)
            case "card" if number not in self.cards:
                self._replace_cards(family)
                self.cards[number] = (family, "active")
            case "remove" | "merge" if self._may_leave(family, **what):
                before = self.wallet(family)[0]
                self.families[family] = replace(whose, status="removed", merged_into=what.get("survivor", ""))
                self._revoke_all(family)
                if order == "merge":
                    self._replace_cards(family)
                return Answer(200, {"returned": before - self.wallet(family)[0]})
            case _:
                return REFUSED
        return Answer(200, {})

    def _may_leave(self, family: str, survivor: str | None = None) -> bool:
        """It is merged into somebody only if he is there, and if nobody was merged into it."""
        is_a_survivor = family in {each.merged_into for each in self.families.values()}
        return survivor is None or not (is_a_survivor or self.families.get(survivor, NOBODY).status == "removed")

    def _revoke_all(self, family: str) -> None:
        for name, each in self.vouchers.items():
            if each.family == family and self.status_of(name) != "expired":
                self.vouchers[name] = replace(each, revoked=True)

    def _replace_cards(self, family: str) -> None:
        self.cards |= {number: (of, "replaced") for number, (of, _) in self.cards.items() if of == family}


def _is_more(extra: tuple[int, ...], most: Extra) -> bool:
    return any(each > limit for each, limit in zip(extra, most, strict=True))
