"""Devices, precisions and memory."""

import pytest
import torch

from tenfold.core.devices import (
    DEVICES,
    choose_device,
    choose_precision,
    device_name,
    keep_freed_memory,
    peak_memory_mib,
)
from tenfold.core.errors import InputError

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


def test_a_device_is_named_or_chosen():
    assert choose_device("cpu") == CPU
    assert choose_device().type in DEVICES
    with pytest.raises(InputError, match=r"--device cdua: there is no such device \(did you mean 'cuda'\?\)"):
        choose_device("cdua")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        patch.setattr(torch.backends.mps, "is_available", lambda: False)
        assert choose_device("auto") == CPU
        with pytest.raises(InputError, match=r"--device cuda: .* Use --device cpu"):
            choose_device("cuda")
        patch.setattr(torch.backends.mps, "is_available", lambda: True)
        assert choose_device("auto") == torch.device("mps")
        patch.setattr(torch.cuda, "is_available", lambda: True)
        assert choose_device("auto") == torch.device("cuda")


def test_memory_is_said_in_mib_and_what_was_freed_may_be_kept():
    assert 10 < peak_memory_mib() < 1e6
    keep_freed_memory()
    assert device_name(CPU) == "cpu"
