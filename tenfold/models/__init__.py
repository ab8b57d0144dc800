"""Models: functions (image_shape, classes, *, options) -> Network, and the classifier that wraps one.

To add a model, write one such function and one line in `MODELS`. A module of the user's own needs
neither: see own.py.
"""

from tenfold.models.backbone import backbone
from tenfold.models.classifier import Classifier, WholeClassifier, build_model, summarise
from tenfold.models.keras_cnns import model_s, model_s_deep, single_conv, three_conv_gap
from tenfold.models.network import FrozenFeatures, Layers, Network, Preprocessing
from tenfold.models.own import OWN, OwnModel, given_model, named_model, own, wrap
from tenfold.models.swift import swift

__all__ = [
    "MODELS",
    "Classifier",
    "FrozenFeatures",
    "Layers",
    "Network",
    "OwnModel",
    "Preprocessing",
    "WholeClassifier",
    "build_model",
    "given_model",
    "named_model",
    "summarise",
    "wrap",
]

MODELS = {
    "single-conv": single_conv,
    "model-s": model_s,
    "model-s-deep": model_s_deep,
    "three-conv-gap": three_conv_gap,
    "swift": swift,
    "backbone": backbone,
    OWN: own,
}
