"""What all pages share: the shell, the style of figures, galleries, numbers in words, sorting."""
