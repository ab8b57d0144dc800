"""Networks as tests build them and look into them."""

from tenfold.models import Classifier, build_model, given_model
from tenfold.models.backbone import Transfer
from tenfold.recipe.components import Choice

OWN = Choice(name="own", code="", structure="")
SHAPE = (1, 8, 8)


def built(make, choice: Choice = OWN, seed: int = 0) -> Classifier:
    """A classifier of ten classes around a module of the user's own, or what makes one, for images of `SHAPE`."""
    return build_model(choice, SHAPE, 10, seed=seed, own=given_model(make))


def transfer_network(model: Classifier) -> Transfer:
    """The network of a classifier that was built as a backbone and a head."""
    assert isinstance(model.network, Transfer)
    return model.network
