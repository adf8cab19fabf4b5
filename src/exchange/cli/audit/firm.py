"""A firm as an auditor names it: a mistyped code is an error of usage, and never a firm about which nothing is said."""

from __future__ import annotations

import typer

from exchange.cli.adapter_set import domain_tables
from exchange.cli.texts import reason_text
from exchange.domain.codes import normalise, uscc_problem


def firm_code(text: str) -> str:
    """The code without what typing adds.

    Raises:
        typer.BadParameter: It is no USCC.
    """
    code = normalise(text)
    problem = uscc_problem(code, domain_tables().accepted_codes)
    if problem is not None:
        raise typer.BadParameter(f"{problem} {code[:100]}: {reason_text(problem).message}")
    return code
