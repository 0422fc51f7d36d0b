"""Comparing and merging annotation files: what changed, and whose change it was."""
