"""Devices, precisions and memory."""

import pytest
import torch

from tenfold.core.devices import choose_precision

CPU = torch.device("cpu")


def test_a_precision_that_is_named_is_taken_and_auto_depends_on_the_units():
    for name in ("float32", "bfloat16"):
        assert choose_precision(name, CPU) == choose_precision(name, torch.device("cuda")) == name
    with pytest.MonkeyPatch.context() as patch:
        for units, expected in ((True, "bfloat16"), (False, "float32")):
            patch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, units=units: units)
            assert choose_precision("auto", torch.device("cuda")) == expected
        for amx, avx512, expected in (
            (1, 1, "bfloat16"),
            (1, 0, "bfloat16"),
            (0, 1, "bfloat16"),
            (0, 0, "float32"),
        ):
            patch.setattr(torch.cpu, "_is_amx_tile_supported", lambda there=bool(amx): there)
            patch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda there=bool(avx512): there)
            assert choose_precision("auto", CPU) == expected
    assert choose_precision("auto", torch.device("mps")) == "float32"
