"""A paper as a page for a printer: one file, A4, without a script or anything that is loaded from elsewhere."""

from functools import lru_cache
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from authz_service.reports.sheets import Kind, Paper
from authz_service.rules.phrases import Language

_PAGE: Final = "printed.html"


def printed(paper: Paper, language: Language) -> str:
    return _template().render(paper=paper, language=language.value, text=Kind.TEXT)


@lru_cache(maxsize=1)
def _template() -> Template:
    loader = PackageLoader("authz_service.reports", package_path="")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True).get_template(_PAGE)
