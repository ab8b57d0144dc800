"""How a long piece of work says how far it is."""

from collections.abc import Callable

# Called with (things done, things in all) every now and then; what is shown of it is the caller's business.
Progress = Callable[[int, int], None]
