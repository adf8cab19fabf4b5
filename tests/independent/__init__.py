"""Tests of this package: what shares no code with the program finds in a folder that the program exported."""
