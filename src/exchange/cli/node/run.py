"""``run``: the node itself."""

from __future__ import annotations

from typing import Final

import typer

from exchange.app import run as serve
from exchange.app.passphrase import key_lock
from exchange.cli.node.files import check_files
from exchange.cli.options import DEFAULT_NODE_FILE, NodeArgument, read_settings
from exchange.cli.output import Exit, finish, report_failure
from exchange.crypto.signers.token import PinRefused
from exchange.domain.problems import Refused

EXIT_PIN: Final = 77
"""Exit status when a token refused the PIN (EX_NOPERM): a start by itself would only bring it nearer to its lock."""


def run(node: NodeArgument = DEFAULT_NODE_FILE) -> None:
    """Run the node until it is told to stop; refuses to start with files that ``config validate`` finds fault with."""
    settings = read_settings(node)
    settings.node.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = key_lock(settings)  # one for both: a passphrase is asked for once
    problems = check_files(settings, lock)
    if any(problem.reason == PinRefused.reason for problem in problems):
        report_failure(Refused(problems), as_json=False)
        raise typer.Exit(EXIT_PIN)
    if problems:
        raise Refused(problems)
    status = serve(settings, lock)
    finish(Exit.DONE if status == 0 else Exit.FINDING)
