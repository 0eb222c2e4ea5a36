"""Ablation: graders of level mode with one part off at a time."""
