"""Rewards: functions from samples to scores, and their weighted sum with every part kept."""

from visreason.reward.compose import REWARDS, Models, Reward, from_names, weighted
from visreason.reward.correct import correct
from visreason.reward.format import format_reward

__all__ = ["REWARDS", "Models", "Reward", "correct", "format_reward", "from_names", "weighted"]
