"""Real data that pip can reach, and phantoms whose truth is known."""
