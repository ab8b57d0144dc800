"""Running a model without learning: predictions, and the engines that are fastest at it."""
