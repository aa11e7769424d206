"""The networks of the lecture, small enough to read."""
