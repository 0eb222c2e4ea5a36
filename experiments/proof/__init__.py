"""Proof: scores of a model on phantoms beside prior and floor, as tables."""
