"""Findings as they are printed: numbered, each with its place, what it means and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from exchange.cli.details import told
from exchange.cli.output import Exit, Output
from exchange.cli.texts import reason_text, t, word
from exchange.flows.audit.findings import Finding
from exchange.flows.audit.verify.claims import Claim


def finding_dicts(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Findings for ``--json``."""
    return [
        {
            "no": number,
            "code": each.code,
            "log": each.log,
            "index": each.index,
            "file": each.file,
            "byte": each.byte,
            "text": each.detail,
            "proven": each.proven,
            "evidence": dict(each.evidence),
        }
        for number, each in enumerate(findings, 1)
    ]


def facts_of(claim: Claim) -> list[tuple[str, str]]:
    """What a claim rests on, named and written for a person; what is counted by log stands in a table of its own."""
    return [
        (word("claim_fact", name), " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value))
        for name, value in claim.facts.items()
        if value and not isinstance(value, dict)
    ]


def print_findings(out: Output, findings: Sequence[Finding]) -> None:
    """A table of them; nothing where there are none."""
    if not findings:
        return
    out.table(
        ("no", "reason", "place", "meaning", "remedy"),
        [
            (
                number,
                each.code if each.proven else f"{each.code}\n{t('message.not_provable')}",
                _place(each),
                "\n".join(
                    filter(None, (reason_text(each.code).message, told(each.detail), each.evidence.get("folder")))
                ),
                reason_text(each.code).remedy,
            )
            for number, each in enumerate(findings, 1)
        ],
    )


def _place(finding: Finding) -> str:
    entry = f"{finding.log}#{finding.index}" if finding.index is not None else finding.log
    journal = finding.evidence.get("journal", "")
    step = journal if "#" in journal else ""
    file = f"{finding.file}:{finding.byte}" if finding.byte is not None else finding.file
    return "\n".join(filter(None, (entry, step, file)))


def verdict(findings: Sequence[Finding]) -> Exit:
    """1 where something is proven against the material, 3 where it only does not tell, else 0."""
    if any(each.proven for each in findings):
        return Exit.FINDING
    return Exit.UNDECIDABLE if findings else Exit.DONE
