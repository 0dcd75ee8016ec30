"""What a benchmark needs around it: durable servers, a programme of many families, the service, and the empty endpoint."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import sleep

import asyncpg

from authz_service.commands.place import console
from authz_service.database import migrate
from authz_service.embedded import Servers, embedded_servers
from authz_service.enrolment.edition import PROGRAMMES_FOLDER
from authz_service.enrolment.enrol import enrol
from authz_service.enrolment.sandbox import SandboxTills
from authz_service.keys import Keys
from authz_service.serving import free_port, served
from authz_service.settings import SANDBOX_ROOT_KEY

EDITION = "samarinda-2024"
PROGRAMME = "bench"
NO_END_RUPIAH = 1_000_000_000
"""Of each family: a run must never meet a limit that it does not mean to meet."""


def bench_edition(folder: Path, families: int) -> Path:
    """Samarinda's edition with so many families and limits that no run reaches; every rule is still asked."""
    target = folder / "bench"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(PROGRAMMES_FOLDER / EDITION, target)
    terms = (target / "programme.toml").read_text(encoding="utf-8")
    for name, value in (
        ("families", families),
        ("funding_rupiah", families * NO_END_RUPIAH),
        ("entitlement_rupiah", NO_END_RUPIAH),
        ("month_cap_rupiah", NO_END_RUPIAH // 2),
        ("month_packages", 100_000),
    ):
        terms, count = re.subn(rf"^{name} = [\d_]+$", f"{name} = {value}", terms, flags=re.MULTILINE)
        assert count == 1, name
    terms = re.sub(r"^starts_on = .*$", "starts_on = 2024-10-01", terms, flags=re.MULTILINE)
    terms = re.sub(r"^ends_on = .*$", "ends_on = 2099-12-31", terms, flags=re.MULTILINE)
    (target / "programme.toml").write_text(terms, encoding="utf-8")
    districts = (target / "kecamatan.csv").read_text(encoding="utf-8").splitlines()
    each, rest = divmod(families, len(districts) - 1)
    rows = [",".join([*row.split(",")[:2], str(each + (number < rest))]) for number, row in enumerate(districts[1:])]
    (target / "kecamatan.csv").write_text("\n".join([districts[0], *rows]) + "\n", encoding="utf-8")
    return target
