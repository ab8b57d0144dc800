"""Models: functions (image_shape, classes, *, options) -> nn.Module, and the classifier that wraps one.

To add a model, write one such function and one line in `MODELS`.
"""

from tenfold.models.backbone import backbone
from tenfold.models.keras_cnns import model_s, model_s_deep, single_conv, three_conv_gap
from tenfold.models.network import Classifier, Preprocessing, build_model, summarise
from tenfold.models.swift import swift

__all__ = ["MODELS", "Classifier", "Preprocessing", "build_model", "summarise"]

MODELS = {
    "single-conv": single_conv,
    "model-s": model_s,
    "model-s-deep": model_s_deep,
    "three-conv-gap": three_conv_gap,
    "swift": swift,
    "backbone": backbone,
}
