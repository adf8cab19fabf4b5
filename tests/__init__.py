"""Tests: by folder one part of the gateway each; at the top the walk, the two processes and the house."""
