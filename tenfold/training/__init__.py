"""Learning: the loop, optimizers and schedules, and heads on the features of a frozen backbone."""
