"""Answers read out of responses and compared with the gold one. Never raises on a response, never runs one."""

from visreason.answer.check import check
from visreason.answer.trainers import accuracy_reward, compute_score, grade

__all__ = ["accuracy_reward", "check", "compute_score", "grade"]
