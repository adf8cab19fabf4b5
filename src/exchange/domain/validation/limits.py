"""Limits of records, each with its unit and reason. A record over a limit is refused whole."""

from __future__ import annotations

from typing import Final

NAME_CHARACTERS: Final = 200
"""Names of firms and authorities: width of CF_XDR_MC."""

SHORT_CHARACTERS: Final = 100
"""Numbers, posts, codes in words: no column of the native layouts is wider."""

CODE_CHARACTERS: Final = 64
"""Codes and identifiers that are no text."""

PURPOSE_CHARACTERS: Final = 200
"""One sentence: the purpose is shown with every use."""

SENTENCE_CHARACTERS: Final = 1_000
"""Legal bases, veto texts, licences: the longest seen is a list of a few articles."""

TEXT_CHARACTERS: Final = 20_000
"""Facts of a case: ten printed pages."""

LEGAL_BASES: Final = 50
"""Legal bases of one record."""

ITEMS: Final = 50
"""Vetoes, measures, persons, orders, older registration numbers of one record."""

SCOPE_LINES: Final = 4_000
"""Lines of one laboratory's scope: ten times a large certificate, and at 150 bytes each below the 1 MiB of a body."""

TARGETS: Final = 1_000
"""Firms of one inspection task: as many as are checked in one call."""

READINGS: Final = 200
"""Readings, pollutants or sensitive points of one report of an emergency."""

ATTACHMENTS: Final = 20
"""Attachments of one record."""

ATTACHMENT_BYTES: Final = 20 << 20
"""Size of one attachment, 20 MiB: a scanned decision of two hundred pages."""

PROVENANCE_LINES: Final = 2_000
"""Mapped fields of one record: a batch of 24 hours with 40 factors and 2 statistics."""

SERIES: Final = 512
"""Series of one batch: twice the factor table and more statistics than a station sends."""

POINTS: Final = 10_000
"""Points of one batch: at about 60 bytes each they keep it below the 1 MiB of a body."""

VALUE_CHARACTERS: Final = 64
"""A measured value: the field shows up to 12 decimals; twice that and a sign stay readable."""

MONEY_INTEGER_DIGITS: Final = 15
"""Yuan: a thousand times the largest fine ever."""

DECISION_ITEMS: Final = 4_096
"""Items of one recognition: the entries that one delivery may bring, and a step is smaller."""

FACTS: Final = 64
"""Facts of one decision."""

CODES: Final = 32
"""Reason codes, conditions or rule ids of one decision."""

KEYS: Final = 64
"""Keys of one announcement: every log of every lane and peer with both generations."""

CERTIFICATES: Final = 10
"""Certificates of one chain, without the root."""

CERTIFICATE_BYTES: Final = 16_384
"""One DER certificate."""

EARLIEST_DATE: Final = "1990-01-01"
"""Older dates are typing errors: the first national rules on pollution sources are of 1989."""

EARLIEST_SECOND: Final = 631_123_200
"""1990-01-01 in UTC+8, as seconds of Unix time: no device that speaks HJ 212 is older."""

FUTURE_SECONDS: Final = 86_400
"""How far ahead of the receiver's day a device's clock may be: one day."""

EARLIEST_YEAR: Final = 2005
"""First year of environmental credit evaluation anywhere in the country."""
