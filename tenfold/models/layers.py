"""The layers that networks share: PyTorch's, trained on a CPU by tenfold's kernels where those suit."""

from torch import Tensor, nn

from tenfold.kernels import conv3x3, max_pool, rectified_norm


class Conv3x3(nn.Conv2d):
    """A 3x3 convolution; with `pool` the largest of each 2x2 pixels of it."""

    def __init__(
        self, inputs: int, outputs: int, *, padding: int = 1, bias: bool = True, pool: bool = False
    ) -> None:
        super().__init__(inputs, outputs, 3, padding=padding, bias=bias)
        self.pool = pool

    def forward(self, input: Tensor) -> Tensor:
        """Convolve `input` (N, C, H, W)."""
        padding = self.padding[0]
        return conv3x3(input, self.weight, self.bias, padding, self.pool)  # pyright: ignore[reportArgumentType]


class MaxPool2d(nn.MaxPool2d):
    """The largest of each 2x2 pixels."""

    def __init__(self) -> None:
        super().__init__(2)

    def forward(self, input: Tensor) -> Tensor:
        """Halve `input` (N, C, H, W)."""
        return max_pool(input)


class ReLUBatchNorm2d(nn.BatchNorm2d):
    """ReLU, then batch norm."""

    def forward(self, input: Tensor) -> Tensor:
        """Rectify and normalise `input` (N, C, H, W)."""
        return rectified_norm(self, input, "before")


class BatchNorm2dReLU(nn.BatchNorm2d):
    """Batch norm, then ReLU."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise and rectify `input` (N, C, H, W)."""
        return rectified_norm(self, input, "after")
