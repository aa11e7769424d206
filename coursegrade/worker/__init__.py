"""A student's code in a box, and the checks outside it."""
