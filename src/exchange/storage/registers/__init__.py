"""Registers: current state, made by apply and read row by row."""
