"""What labelled images come in: folders, archives, tables and arrays, each read into groups."""
