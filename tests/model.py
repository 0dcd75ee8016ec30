"""What the service must answer and keep: the contract once more, with no database and one call at a time.

Written from `contract.md` and `programme.md` and from nothing of `authz_service`, so that it can disagree. What is
added up is in `tally.py`, what offices do in `model_offices.py`; how answers are written is known to `judge.py`.
"""

from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from tests.calls import NOT_FOUND, Answer, Call, Document, Id, problem
from tests.model_offices import Offices
from tests.tally import ENDS, PACKAGE, STARTS, WITA, Sale

PRECEDENCE: Final = (
    "merchant_suspended", "terminal_not_permitted", "card_unknown", "card_blocked", "beneficiary_suspended",
    "beneficiary_removed", "programme_not_started", "programme_ended", "cash_not_permitted", "category_not_permitted",
    "product_not_permitted", "price_above_ceiling", "package_cap_exceeded", "entitlement_exceeded", "packages_used_up",
    "monthly_cap_exceeded",
)  # fmt: skip
GOODS: Final = {("ikan_kaleng", None): None, ("beras", "beras premium"): 15_400}
"""Category and product → highest price. Rice has a ceiling, so it is sold with its details or not at all."""
NEVER_KEPT: Final = {"not_found", "stan_already_used", "request_reversed"}
Reasons = list[tuple[str, int]]  # each with the line that it is about; 0 is the whole purchase


class Model(Offices):
    def answer(self, call: Call) -> Answer:
        """What this call must be answered; the model is then as the call must leave the service."""
        if "lines" in call.body and sum(line["amount"] for line in call.body["lines"]) != call.body["amount"]:
            return problem(422, "invalid")
        if not call.key:
            return self.order(**call.body) if call.kind == "order" else self.copy()._read(call)
        if call.kind == "reverse" and call.name == (call.who, call.body.get("idempotency_key")):
            return problem(422, "key_reused")
        if call.name in self.reversals:
            if call.kind == "authorise" and call.name in self.tombstones and self._stan(call) not in self.stans:
                self.tombstones.remove(call.name)
                self.stans[self._stan(call)] = call.name
            return problem(409, "request_reversed")
        if call.name in self.kept:
            first, answer = self.kept[call.name]
            return answer._replace(replayed=True) if first == call else problem(422, "key_reused")
        answer = self._done(call)
        if answer.says.get("code") not in NEVER_KEPT:
            answer = answer._replace(bytes_of=answer.bytes_of or call.name)
            self.kept[call.name] = (call, answer)
        return answer

    def _done(self, call: Call) -> Answer:
        match call.kind:
            case "authorise":
                return self._authorise(call)
            case "capture" | "void" | "refund":
                return self._later_call(call)
            case "reverse":
                return self._reverse(call)
            case "vouch":
                return self.vouch(call, **call.body)
            case _:
                return self.approve_or_revoke(call)

    # --- Tills ---

    def _authorise(self, call: Call) -> Answer:
        twin = self.stans.get(self._stan(call))
        if twin in self.reversals:
            self.reversals[call.name] = self.reversals[twin]
            return problem(409, "request_reversed")
        if twin:
            return problem(409, "stan_already_used", authorization_id=Id(twin))
        self.stans[self._stan(call)] = call.name
        return self._decide(call)

    def _stan(self, call: Call) -> tuple[str, str]:
        return call.who, f"{call.body['stan']} {call.body['terminal_time']}"

    def _later_call(self, call: Call) -> Answer:
        if (sale := self.sales.get(call.about)) is None or sale.till != call.who:
            return NOT_FOUND
        sale = self.expire(sale.family).sales[call.about]
        held, captured, refunded = sale.amounts
        amount = call.body.get("amount", held)
        if not sale.family or (call.kind != "refund" and not held):
            return problem(409, "state_conflict", authorization_status=sale.status)
        if call.kind == "capture" and amount > held:
            return problem(422, "capture_exceeds_hold", held_amount=held)
        if call.kind == "refund" and amount > captured - refunded:
            return problem(422, "refund_exceeds_captured", refundable_amount=captured - refunded)
        self.happened(call.about, {"capture": "captured", "void": "voided", "refund": "refunded"}[call.kind], amount)
        if call.kind == "capture" and call.body["final"]:
            self.happened(call.about, "remainder_released", held - amount)
        return Answer(200 if call.kind == "void" else 201, {"amount": amount}, self.sales[call.about])

    def _reverse(self, call: Call) -> Answer:
        name, key = self._named(call), call.body.get("idempotency_key")
        if name in self.reversals:
            return self.reversals[name]
        if name in self.kept and name not in self.sales:
            about = name
            while about in self.kept and about not in self.sales:
                first = self.kept[about][0]
                about = self._named(first) if first.kind == "reverse" else first.about
            if about in self.sales:
                self.expire(self.sales[about].family)
            self.reversals[name] = Answer(201, {"undone": False, "reversed_amount": 0}, bytes_of=call.name)
            return self.reversals[name]
        says: Document = {"status": "not_known", "undone": True, "reversed_amount": 0, "authorization_id": None}
        if sale := self.sales.get(name):
            held, captured, refunded = self.expire(sale.family).sales[name].amounts
            amount = captured - refunded if sale.at_once else held
            self.happened(name, "reversed", amount)
            sale = self.sales[name]
            says = {"status": sale.status, "undone": not sale.used, "reversed_amount": amount}
            says["authorization_id"] = Id(name)
        elif key:
            self.tombstones.add(name)
        self.stans[name] = name
        self.reversals[name] = Answer(201, says, bytes_of=call.name)
        return self.reversals[name]

    def _named(self, call: Call) -> tuple[str, str]:
        key, stan = call.body.get("idempotency_key"), f"{call.body.get('stan')} {call.body.get('terminal_time')}"
        return (call.who, key) if key else self.stans.get((call.who, stan), (call.who, stan))

    def _read(self, call: Call) -> Answer:
        """Of a copy: expired holds are seen as given back, and nothing is written."""
        if call.kind == "get":
            sale = self.sales[call.about]
            return Answer(200, {}, self.expire(sale.family).sales[call.about]) if sale.till == call.who else NOT_FOUND
        if call.kind == "get_voucher":
            return Answer(200, self.shown(call.about))
        if call.kind == "dry_run":
            return self._decide(call)._replace(status=200)
        self.expire(self._family(call))
        return Answer(200, self._said(call, self._door(call) or self._window()))

    # --- The decision ---

    def _decide(self, call: Call) -> Answer:
        """The sale is there from now on; what is said of it is true after it."""
        self.expire(self._family(call))
        parts, reduction, reasons = self._judge(call)
        approved, due = sum(parts), call.body["amount"] - reduction - sum(parts)
        events = [("authorised" if approved else "declined", approved, self.now)]
        events += [("captured", approved, self.now)] if approved and call.body["capture"] else []
        family = self._family(call) if approved else ""
        sale = self.sales[call.name] = Sale(
            till=call.who, family=family, month=self.month, expires_at=self.now + timedelta(hours=24),
            at_once=len(events) > 1, covers=self.cover(family, approved), events=tuple(events),
        )  # fmt: skip
        amounts = {"approved_amount": approved, "price_reduction": reduction, "tender_due": due, "parts": parts}
        return Answer(201, amounts | self._said(call, reasons), sale)

    def _judge(self, call: Call) -> tuple[list[int], int, Reasons]:
        """What of each line is paid, what the shop gives up, and why not all."""
        lines, window, nothing = call.body["lines"], self._window(), [0 for _ in call.body["lines"]]
        if refused := self._door(call):
            return nothing, 0, refused
        left, counted, faults = self.left(self._family(call)), *zip(*map(self._priced, lines), strict=True)
        most = {
            "package_cap_exceeded": PACKAGE,
            "entitlement_exceeded": left["programme"],
            "packages_used_up": 2**53 if left["packages_this_month"] else 0,
            "monthly_cap_exceeded": left["month"],
        }
        is_cut = call.body["partial_approval"] and "cash_not_permitted" not in faults
        asked = [0 if is_cut and fault else rupiah for rupiah, fault in zip(counted, faults, strict=True)]
        exceeded = [reason for reason, rupiah in most.items() if sum(asked) > rupiah]
        reasons = window + [(fault, n) for n, fault in enumerate(faults, 1) if fault]
        if is_cut and not window:
            parts: list[int] = []
            for n, rupiah in enumerate(asked, 1):
                parts.append(min(rupiah, left["package"] - sum(parts)))
                reasons += [(min(most, key=most.__getitem__), n)] if parts[-1] < rupiah else []
            told = {reason for reason, _ in reasons}
            reasons += [(reason, 0) for reason in exceeded if reason not in told and not any(parts)]
        else:
            reasons += [(reason, 0) for reason in exceeded]
            parts = nothing if reasons else asked
        given_up = (line["amount"] - rupiah for line, rupiah, part in zip(lines, counted, parts, strict=True) if part)
        return parts, sum(given_up), reasons

    def _priced(self, line: Document) -> tuple[int, str]:
        """What a line counts for, and its first fault."""
        category, goods = line["category"], (line["category"], line.get("product"))
        if category in {"tunai", "pulsa"}:
            return line["amount"], "cash_not_permitted"
        if category not in {permitted for permitted, _ in GOODS}:
            return line["amount"], "category_not_permitted"
        if goods not in GOODS:
            return line["amount"], "product_not_permitted"
        if (ceiling := GOODS[goods]) is None or line["unit_price"] <= ceiling:
            return line["amount"], ""
        if not self.reduces:
            return line["amount"], "price_above_ceiling"
        return int((Decimal(line["quantity"]) * ceiling).quantize(Decimal(1), ROUND_HALF_UP)), ""

    def _said(self, call: Call, reasons: Reasons) -> Document:
        left = None if self._door(call) else self.left(self._family(call))
        return {
            "reasons": sorted(reasons, key=lambda each: (PRECEDENCE.index(each[0]), each[1])),
            "remaining": left,
            "largest_approvable_amount": left["package"] if left and not self._window() else 0,
        }

    def _door(self, call: Call) -> Reasons:
        """The failed checks of the first stage that fails among shop, card and family."""
        family, card = self.cards.get(call.body["card_number"], ("", "unknown"))
        is_closed = self.now.astimezone(WITA).hour not in self.hours[call.who]
        shop = {"merchant_suspended": call.who in self.suspended, "terminal_not_permitted": is_closed}
        if any(shop.values()):
            return [(reason, 0) for reason, is_so in shop.items() if is_so]
        if card != "active":
            return [("card_unknown" if card == "unknown" else "card_blocked", 0)]
        status = self.families[family].status
        return [] if status == "active" else [(f"beneficiary_{status}", 0)]

    def _window(self) -> Reasons:
        if STARTS <= self.now < ENDS:
            return []
        return [("programme_not_started" if self.now < STARTS else "programme_ended", 0)]

    def _family(self, call: Call) -> str:
        return self.cards.get(call.body["card_number"], ("", ""))[0]
