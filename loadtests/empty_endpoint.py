"""The floor of the framework: FastAPI takes the contract's body and header, does nothing, and answers.

The body has the contract's members and bounds as an ordinary pydantic model. What the service checks beside them (lines
that add up, numbers that could be cards, control characters) is left out: the floor is to be low.
"""

import gc
import sys
from typing import Annotated, Literal

import uvicorn
from fastapi import FastAPI, Header
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from authz_service.requests import LINES_LIMIT, QUANTITY_PATTERN
from authz_service.serving import end_with, uvicorn_options
from authz_service.settings import Settings
from authz_service.vocabulary import MONEY_LIMIT_RUPIAH

Rupiah = Annotated[int, Field(gt=0, le=MONEY_LIMIT_RUPIAH)]
Label = Annotated[str, Field(min_length=1, max_length=64)]


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid")

    category: Label
    amount: Rupiah
    product: Label | None = None
    unit: Label | None = None
    quantity: Annotated[str, Field(pattern=QUANTITY_PATTERN)] | None = None
    unit_price: Rupiah | None = None


class Purchase(BaseModel):
    model_config = ConfigDict(extra="forbid")

    card_number: Annotated[str, Field(pattern=r"^[0-9]{12,19}$")]
    stan: Annotated[str, Field(pattern=r"^[0-9]{6}$")]
    terminal_time: AwareDatetime
    amount: Rupiah
    currency: Literal["IDR"]
    lines: Annotated[list[Line], Field(min_length=1, max_length=LINES_LIMIT)]
    capture: bool = False
    partial_approval: bool = False
    pin_block: Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{16,32}$")] | None = None
    merchant_id: Label | None = None
    terminal_id: Label | None = None


app = FastAPI()


@app.post("/v1/authorizations", status_code=201)
async def empty(
    body: Purchase,  # noqa: ARG001 - to be read and checked is all that is asked of it
    idempotency_key: Annotated[str, Header(min_length=1, max_length=64)],  # noqa: ARG001
) -> dict[str, str]:
    return {"status": "ok"}


if __name__ == "__main__":
    end_with(int(sys.argv[2]))
    # As the service does when it is ready: what is there now stays, and the collector need not look at it.
    gc.collect()
    gc.freeze()
    # By uvicorn's own protocol: FastAPI has no use for ours, and must not pay for it.
    options = {**uvicorn_options(Settings()), "http": "httptools"}
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), **options)
