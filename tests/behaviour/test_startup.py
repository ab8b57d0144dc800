"""What tenfold spares its users when it starts: PyTorch's compiler, and threads that spin."""

import os
import subprocess
import sys

import pytest

TRAIN_ONE_STEP = """
import sys
import torch
from tenfold.training.optimizers import OPTIMIZERS, build_optimizer
from tenfold.recipe.components import Choice
for name in OPTIMIZERS:
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = build_optimizer(Choice(name=name), [weight])
    optimizer.zero_grad()
    weight.sum().backward()
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
print("torch._dynamo" in sys.modules)
"""
SPIN_COUNT = """
import os, sys
from tenfold.cli import main
sys.argv = ["tenfold", "--help"]
try:
    main()
except SystemExit:
    print(os.environ.get("GOMP_SPINCOUNT"))
"""


def last_line(code: str, **environment: str) -> str:
    inherited = {
        name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    }
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=inherited | environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


@pytest.mark.slow
def test_training_does_not_load_the_compiler():
    assert last_line(TRAIN_ONE_STEP) == "False"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "5"}, "5"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "None")],
)
def test_threads_wait_politely_unless_the_user_chose(environment, expected):
    assert last_line(SPIN_COUNT, **environment) == expected
