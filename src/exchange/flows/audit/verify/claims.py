"""The nine claims about an exported folder: proven, refuted, or not provable from this material and what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

from exchange.flows.audit.findings import Finding
from exchange.flows.audit.verify.keys.believed import Believed

MAX_FINDINGS = 10_000
"""Findings that a result lists; more are counted. A disk full of rubbish must not fill the memory."""


class ClaimNo(IntEnum):
    """The claims, in the order in which each rests on the one before. MATERIAL is the disk itself, no claim."""

    MATERIAL = 0
    ENTRIES_UNCHANGED = 1
    NONE_MISSING = 2
    LATEST = 3
    SIGNED = 4
    KEYS_VALID = 5
    MIRRORED = 6
    REGISTERS = 7
    DOCUMENTS = 8
    OWN_LIST = 9


CLAIMS = tuple(no for no in ClaimNo if no is not ClaimNo.MATERIAL)
"""The nine."""


class Outcome(StrEnum):
    """What became of a claim."""

    PROVEN = "PROVEN"
    REFUTED = "REFUTED"
    NOT_PROVABLE = "NOT_PROVABLE"


class Verdict(StrEnum):
    """What became of the whole. CONSISTENT: nothing is refuted, and nothing is known of where the disk comes from."""

    PROVEN = "PROVEN"
    REFUTED = "REFUTED"
    NOT_PROVABLE = "NOT_PROVABLE"
    CONSISTENT = "CONSISTENT"


@dataclass(frozen=True, slots=True)
class Against:
    """A finding with the claim that it refutes; MATERIAL for what differs from the folder's own list of files."""

    no: ClaimNo
    finding: Finding

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        found = self.finding
        return {
            "no": int(self.no),
            "code": found.code,
            "log": found.log,
            "index": found.index,
            "file": found.file,
            "byte": found.byte,
            "text": found.detail,
            "proven": found.proven,
            "evidence": dict(found.evidence),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """What would be needed to decide a claim.

    Attributes:
        what: Name in the group ``material`` of the table of texts.
        of: Of which log, node or file.
    """

    what: str
    of: str = ""

    def __str__(self) -> str:
        return f"{self.what} {self.of}".strip()


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """One claim with its outcome.

    Attributes:
        missing: What would be needed when the outcome is NOT_PROVABLE; empty where a finding leaves it open.
        facts: Numbers and instants that it rests on.
    """

    no: ClaimNo
    outcome: Outcome
    missing: tuple[Missing, ...]
    facts: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "no": int(self.no),
            "name": self.no.name,
            "outcome": self.outcome.value,
            "missing": [str(each) for each in self.missing],
            "facts": dict(self.facts),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What verifying a folder came to.

    Attributes:
        verdict: The whole in one word.
        folder: The folder.
        policy: What the verdict rests on, for people: names and fingerprints of cards, digest of a policy.
        claims: All nine.
        logs: Facts of each log.
        findings: In order of place; at most ``MAX_FINDINGS``.
        further: How many more there were.
    """

    verdict: Verdict
    folder: str
    policy: tuple[str, ...]
    claims: tuple[Claim, ...]
    logs: tuple[Mapping[str, Any], ...]
    findings: tuple[Against, ...]
    further: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "verdict": self.verdict.value,
            "folder": self.folder,
            "policy": list(self.policy),
            "claims": [claim.as_dict() for claim in self.claims],
            "logs": [dict(log) for log in self.logs],
            "findings": [finding.as_dict() for finding in self.findings],
            "further_findings": self.further,
        }


@dataclass(slots=True)
class Docket:
    """Where what is found is written down while a folder is looked at. Made for one run, and changed by it."""

    findings: list[Against] = field(default_factory=list)
    further: int = 0
    _refuted: set[ClaimNo] = field(default_factory=set)
    _doubted: set[ClaimNo] = field(default_factory=set)
    _missing: dict[ClaimNo, dict[Missing, None]] = field(default_factory=dict)
    _facts: dict[ClaimNo, dict[str, Any]] = field(default_factory=dict)

    def find(self, *findings: Against) -> None:
        """Write findings down; each refutes its claim, or where it is not proven leaves it open."""
        for found in findings:
            (self._refuted if found.finding.proven else self._doubted).add(found.no)
            if len(self.findings) < MAX_FINDINGS:
                self.findings.append(found)
            else:
                self.further += 1

    def lack(self, no: ClaimNo, what: str, of: str = "") -> None:
        """Write down what would be needed to decide a claim."""
        self._missing.setdefault(no, {})[Missing(what=what, of=of)] = None

    def only(self, no: ClaimNo, what: str) -> None:
        """Write down that nothing can be decided without this, whatever else there is."""
        self._missing[no] = {Missing(what=what): None}

    def fact(self, no: ClaimNo, name: str, value: Any) -> None:
        """Write down what a claim rests on."""
        self._facts.setdefault(no, {})[name] = value

    def is_refuted(self, no: ClaimNo) -> bool:
        """Whether something was found against a claim."""
        return no in self._refuted

    def claim(self, no: ClaimNo) -> Claim:
        """A claim as it stands."""
        missing = tuple(self._missing.get(no, ()))
        outcome = Outcome.NOT_PROVABLE if missing or no in self._doubted else Outcome.PROVEN
        outcome = Outcome.REFUTED if no in self._refuted else outcome
        return Claim(no=no, outcome=outcome, missing=missing, facts=self._facts.get(no, {}))

    def verdict(self, *, sourced: bool) -> Verdict:
        """The whole in one word.

        Args:
            sourced: Whether the caller gave anything to believe in.
        """
        if self._refuted:
            return Verdict.REFUTED
        if not sourced:
            return Verdict.CONSISTENT
        proven = all(self.claim(no).outcome is Outcome.PROVEN for no in ClaimNo)
        return Verdict.PROVEN if proven else Verdict.NOT_PROVABLE

    def result(self, folder: Path, believed: Believed, logs: tuple[Mapping[str, Any], ...]) -> Result:
        """All claims as they stand.

        Args:
            folder: The folder.
            believed: What the verdict rests on.
            logs: Facts of each log.
        """
        return Result(
            verdict=self.verdict(sourced=believed.sourced),
            folder=str(folder),
            policy=believed.names(),
            claims=tuple(self.claim(no) for no in CLAIMS),
            logs=logs,
            findings=tuple(self.findings),
            further=self.further,
        )
