"""The run folder: every file of it, and what can be read from many."""
