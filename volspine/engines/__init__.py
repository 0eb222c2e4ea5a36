"""Engines: where many items are worked on: processes of this machine, or a cluster's actors."""
