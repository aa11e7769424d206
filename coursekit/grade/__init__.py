"""Releasing, grading and returning assignments."""

from coursekit.grade.rounds import Outcome, course, export, feedback, outcomes, release, round_trip, run, students

__all__ = ["Outcome", "course", "export", "feedback", "outcomes", "release", "round_trip", "run", "students"]
