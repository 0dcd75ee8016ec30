"""What may be bought today and at what price: the programme's goods as a till shows them."""

from dataclasses import dataclass
from datetime import date
from hashlib import blake2b

import orjson

from authz_service.answers import Document
from authz_service.registry import Reference
from authz_service.rules.facts import Product
from authz_service.rules.goods import ceiling_on


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    body: bytes
    etag: str


def catalogue(reference: Reference, today: date, district_code: str | None) -> Catalogue:
    """Categories, products, units and the ceilings in force on `today` in the shop's kecamatan (rupiah per unit)."""
    programme = reference.programme
    products = list({id(product): product for product in programme.products.values()}.values())
    document: Document = {
        "programme": programme.name,
        "valid_on": today.isoformat(),
        "currency": "IDR",
        "package": programme.package_rupiah,
        "details_required": programme.details_required,
        "above_ceiling": programme.above_ceiling,
        "categories": [
            {
                "category": category,
                "name": name,
                "products": [_product(each, today, district_code) for each in products if each.category == category],
            }
            for category, name in programme.categories.items()
        ],
    }
    body = orjson.dumps(document)
    return Catalogue(body=body, etag=f'"{blake2b(body, digest_size=12).hexdigest()}"')


def _product(product: Product, today: date, district_code: str | None) -> Document:
    return {
        "product": product.name,
        "unit": product.unit,
        "gtin": product.gtin,
        "price_ceiling": ceiling_on(product, today, district_code),
    }
