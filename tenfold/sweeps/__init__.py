"""Sweeps: one recipe, many values and seeds, trained side by side; the test images are opened once, at the end.

The verb is `conduct.sweep`; a worker process imports only `worker`, `trial` and what training needs.
"""
