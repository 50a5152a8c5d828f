"""`python -m gateway`, but with one more dialect."""

from __future__ import annotations

import gateway.__main__ as program
import gateway.app
from tests.support.toy_dialect.dialect import TOY

if __name__ == "__main__":
    gateway.app.DIALECTS += (TOY,)
    program.main()
