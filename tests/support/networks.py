"""Networks as tests look into them."""

from tenfold.models import Classifier
from tenfold.models.backbone import Transfer


def transfer_network(model: Classifier) -> Transfer:
    """The network of a classifier that was built as a backbone and a head."""
    assert isinstance(model.network, Transfer)
    return model.network
