"""Engines: what makes a definition of ``ops``, ``metrics`` or ``flow`` quick.

Each names the definition that it equals; ``tests/fast`` holds the two equal. Nobody need read this room to
understand a lecture.
"""
