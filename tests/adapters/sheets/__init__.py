"""Workbooks, CSV and JSON as rows of text."""
