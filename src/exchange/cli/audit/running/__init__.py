"""Verbs that ask a running node, by an auditor's certificate."""
