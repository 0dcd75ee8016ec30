"""The shops as a family sees them: which one it goes to, when, and what is on the shelf there. Pure."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Final

from authz_service.demo.goods import Basket, Goods, Size, Stall
from authz_service.demo.town import DemoFailedError, Shop, Town
from authz_service.vocabulary import MerchantId

IN_OWN_KECAMATAN: Final = 0.88
AT_FAVOURITE: Final = 0.7
SENDS_ALL_DETAILS: Final = 0.8
"""How many shops send details of goods that need none."""
FEWEST_SHOPS: Final = 4
MORNING: Final = (9.5, 1.3)
AFTERNOON: Final = (16.5, 1.4)
"""When people shop: the hour in the middle, and how far around it."""
IN_THE_MORNING: Final = 0.6
QUARTER_OF_AN_HOUR: Final = 15


class Market:
    """All shops with their shelves. A family that finds a shop closed has gone to another one."""

    def __init__(self, town: Town, goods: Goods, chance: Random) -> None:
        self.town = town
        self._stalls = {
            shop.merchant_id: Stall(goods, chance, sends_all_details=chance.random() < SENDS_ALL_DETAILS)
            for shop in town.shops
        }
        self._closed: dict[MerchantId, tuple[date, date]] = {}
        # Nobody is sent to a till so late that the first shop could close meanwhile.
        self._last_minute = min(_minutes(shop.closes_at) for shop in town.shops) - QUARTER_OF_AN_HOUR
        self.dispensable, self.night_shop = _special(town.shops)

    def stall(self, shop: Shop) -> Stall:
        return self._stalls[shop.merchant_id]

    def basket(self, shop: Shop, chance: Random) -> Basket:
        """A package's worth, as somebody would try it who does not know what the answer will be."""
        return self.stall(shop).basket(Size.FULL, self.town.terms.package_rupiah, chance)

    def close(self, shop: Shop, first: date, last: date) -> None:
        """No family plans to go there from `first` to `last`."""
        self._closed[shop.merchant_id] = (first, last)

    def shop_for(self, district_code: str, favourite: Shop | None, day: date, chance: Random) -> Shop:
        """The favourite, another one in the same kecamatan, or sometimes one elsewhere; open on that day."""
        is_open = [shop for shop in self.town.shops if not self._is_closed(shop, day)]
        near = [shop for shop in is_open if shop.district_code == district_code]
        if not near or chance.random() >= IN_OWN_KECAMATAN:
            return chance.choice(is_open)
        return favourite if favourite in near and chance.random() < AT_FAVOURITE else chance.choice(near)

    def moment(self, shop: Shop, day: date, chance: Random) -> datetime:
        """When a family stands at the till: within the shop's hours, most often in the morning."""
        middle, around = MORNING if chance.random() < IN_THE_MORNING else AFTERNOON
        minute = round(chance.gauss(middle, around) * 60)
        first = _minutes(shop.opens_at) + QUARTER_OF_AN_HOUR
        minute = min(minute, self._last_minute - chance.randrange(60))
        minute = max(minute, first + chance.randrange(QUARTER_OF_AN_HOUR))
        return datetime.combine(day, time(), tzinfo=self.town.terms.zone) + timedelta(minutes=minute)

    def _is_closed(self, shop: Shop, day: date) -> bool:
        first, last = self._closed.get(shop.merchant_id, (date.max, date.min))
        return first <= day <= last


def _special(shops: Sequence[Shop]) -> tuple[tuple[Shop, Shop], Shop]:
    """Two shops that families can do without, because there are others near; and one that may stay open at night."""
    if len(shops) < FEWEST_SHOPS:
        raise DemoFailedError("The quarter needs more shops than this programme has.")
    neighbours = {shop: sum(other.district_code == shop.district_code for other in shops) for shop in shops}
    suspended, leaver, night_shop, *_ = sorted(shops, key=lambda shop: -neighbours[shop])
    return (suspended, leaver), night_shop


def _minutes(moment: time) -> int:
    return moment.hour * 60 + moment.minute
