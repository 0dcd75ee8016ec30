"""What plays the people of a synthetic programme needs: their keys and card numbers in clear, in one file.

Only synthetic enrolment makes such a file; the database itself keeps neither. The demo, tests and load tests read it.
"""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import mkstemp
from typing import Final

import orjson
from pydantic import TypeAdapter

from authz_service.vocabulary import BeneficiaryId, CompanionId, MerchantId, OperatorId, ProgrammeId, TerminalId


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxTerminal:
    merchant_id: MerchantId
    terminal_id: TerminalId
    key: str
    name: str
    district_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxCard:
    card_number: str
    beneficiary_id: BeneficiaryId
    district_code: str
    companion_id: CompanionId


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxCompanion:
    companion_id: CompanionId
    label: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOperator:
    operator_id: OperatorId
    label: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxTills:
    """Every till, card, companion and operator of one synthetic programme."""

    programme_id: ProgrammeId
    terminals: tuple[SandboxTerminal, ...]
    cards: tuple[SandboxCard, ...]
    companions: tuple[SandboxCompanion, ...]
    operators: tuple[SandboxOperator, ...]

    @staticmethod
    def path(data_dir: Path, programme_id: str) -> Path:
        return data_dir / f"sandbox-{programme_id}.json"

    @staticmethod
    def load(path: Path) -> "SandboxTills":
        return _TILLS.validate_json(path.read_bytes())

    def write(self, data_dir: Path) -> Path:
        """The file stands in `data_dir`, whole, readable by its owner alone."""
        data_dir.mkdir(parents=True, exist_ok=True)
        # mkstemp's files are 0600 from the first byte.
        descriptor, unfinished = mkstemp(dir=data_dir, prefix=".sandbox-")
        with os.fdopen(descriptor, "wb") as file:
            file.write(orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2))
        return Path(unfinished).replace(self.path(data_dir, self.programme_id))


_TILLS: Final = TypeAdapter(SandboxTills)
