"""Runs of several recipes on the same test studies: read, scored side by side, drawn."""
