"""Figures and pages, made from the files of a run alone: neither the model nor a GPU is needed."""

from tenfold.report.page import write_report

__all__ = ["write_report"]
