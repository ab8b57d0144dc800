"""Runs side by side on the same test images: what differs by more than chance, in numbers and in sentences.

    comparison = compare(["runs/a-1", "runs/a-2", "runs/b-1"], "comparison")
    comparison.sentences

Runs that differ in nothing but their seed are pooled as repeats of one recipe.
"""

from tenfold.comparison.conduct import compare
from tenfold.comparison.pairing import Comparison, Pair, SeedGroup, describe_rows, print_comparison

__all__ = ["Comparison", "Pair", "SeedGroup", "compare", "describe_rows", "print_comparison"]
