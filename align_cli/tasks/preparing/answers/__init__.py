"""Prompts with answers as tokens: pairs, judged answers, scored wholes."""
