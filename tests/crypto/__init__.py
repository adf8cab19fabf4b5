"""Tests of signatures, certificates and trust."""
