"""Backbones by what they cost: small, medium and large, of timm's, fetched from the Hugging Face hub.

Chosen from timm's own tables (commit aa4b585: `results-imagenet.csv` and, of one CPU, an Intel i9-10940X in float32,
`benchmark-infer-fp32-nchw-pt240-cpu-i9_10940x-dynamo.csv`), among those under Apache-2.0 or MIT that take images of
any size: none there is both faster and more accurate by more than a point. The packages' EfficientNet-Lite0, which
needs no hub, has 74.8 % at 143 images a second. An entry is never changed, because finished runs name it.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Named:
    """timm's name, the licence of the weights, their size in MiB; ImageNet accuracy in % and images/s by timm."""

    backbone: str
    licence: str
    mebibytes: int
    accuracy: float
    rate: int

    @property
    def words(self) -> str:
        """All of it in a line."""
        return (
            f"{self.backbone}: {self.licence}, {self.mebibytes} MiB; by timm's tables {self.accuracy}% of ImageNet, "
            f"{self.rate} images/s"
        )


NAMED = {
    "small": Named("hgnetv2_b0.ssld_stage2_ft_in1k", "Apache-2.0", 23, 77.4, 178),
    "medium": Named("hgnetv2_b2.ssld_stage2_ft_in1k", "Apache-2.0", 43, 81.6, 105),
    "large": Named("hgnetv2_b4.ssld_stage2_ft_in1k", "Apache-2.0", 76, 83.7, 72),
}


def full_name(backbone: str) -> str:
    """timm's name of a backbone: of a named one what it stands for, of any other its own."""
    return NAMED[backbone].backbone if backbone in NAMED else backbone
