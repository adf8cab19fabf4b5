"""Tests of the domain: tables, codes, kinds, validation, recognition."""
