"""Labelled studies for training: a challenge root, its split, its augmentation, its batches."""
