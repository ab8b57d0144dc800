"""Names of repositories on the Hugging Face hub, and what its client's errors say."""

from tenfold.core.errors import InputError

# What a model, weights or a data set of the hub is named with: hf:OWNER/NAME.
PREFIX = "hf:"


def is_hub_name(name: object) -> bool:
    """Whether `name` names a repository of the hub, and is not an address of files in one (`hf://...`)."""
    return isinstance(name, str) and name.startswith(PREFIX) and not name.startswith(f"{PREFIX}//")


def check_repository(repository: str) -> None:
    """Raise InputError where the hub would refuse the name."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise InputError(
            f"{repository!r}: is no name of a repository ({error}). Expected OWNER/NAME."
        ) from None


def first_line(error: Exception) -> str:
    """The first line of an error, with its kind."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"
