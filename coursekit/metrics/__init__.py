"""Scores: truth first, prediction second, a named record back."""
