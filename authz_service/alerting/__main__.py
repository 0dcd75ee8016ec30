"""`python -m authz_service.alerting [RUNBOOKS]` writes every drawn file below the working directory.

RUNBOOKS is the address under which this deployment's people find docs/runbooks, https://wiki.example/authz/runbooks
for example; each alert's `runbook_url` begins with it. Without it, it is the path in the repository.
"""

import sys
from pathlib import Path

from authz_service.alerting.files import RUNBOOKS, deployed, pages

ROOT = Path()
for path, content in (*deployed(sys.argv[1] if len(sys.argv) > 1 else RUNBOOKS), *pages(ROOT)):
    (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
    (ROOT / path).write_text(content, encoding="utf-8")
