"""Numbers become sentences: each rule is one plain function from `Evidence` to `Finding`s that its numbers bear.

    for finding in find(gather(run)):
        print(finding.sentence, finding.numbers)

To add a rule, write the function in the module of its kind and name it in that module's `RULES`.
"""

from tenfold.findings import advice, answers, training, trust
from tenfold.findings.base import Evidence, Finding, gather, short
from tenfold.findings.training import best_epoch, learning_rate_drops, overfits_from
from tenfold.findings.trust import label_suspects

RULES = (*answers.RULES, *training.RULES, *trust.RULES, *advice.RULES)

__all__ = [
    "RULES",
    "Evidence",
    "Finding",
    "best_epoch",
    "find",
    "gather",
    "label_suspects",
    "learning_rate_drops",
    "overfits_from",
    "short",
]


def find(evidence: Evidence) -> list[Finding]:
    """Everything that the rules find, in their order."""
    return [finding for rule in RULES for finding in rule(evidence)]
