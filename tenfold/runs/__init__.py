"""The run folder and what lies in it; many runs as a table."""
