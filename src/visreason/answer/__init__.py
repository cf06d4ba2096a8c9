"""Answers read out of responses and compared with the gold one. Never raises on a response, never runs one."""

from visreason.answer.check import check

__all__ = ["check"]
