"""Engines: what makes a definition of ``ops``, ``metrics`` or ``flow`` quick. Each names the definition it equals."""
