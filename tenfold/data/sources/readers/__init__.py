"""A module for each kind of source, which declares its `READER`; `registry` finds them all."""
