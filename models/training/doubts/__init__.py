"""Fits and judges the rule of ``models.quality`` that refuses what is not a frontal chest."""
