"""The verbs, and what a person sees of them."""
