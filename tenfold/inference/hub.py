"""The Hugging Face hub: an exported folder goes up, and comes back under the name `hf:OWNER/NAME`."""

import hashlib
import json
from pathlib import Path

from tenfold.core.errors import InputError, TenfoldError
from tenfold.core.hub import PREFIX, check_repository, first_line
from tenfold.inference.predictor import MODEL
from tenfold.runs.folder import Run

CERTIFICATE = "certificate.json"
# What is fetched of a repository: nothing that could be run as a program.
_FETCHED = (MODEL, Run.contract.name, CERTIFICATE, "README.md")


def push_folder(folder: Path, repository: str, *, private: bool = False) -> str:
    """Upload an exported folder as a model repository (`OWNER/NAME`), made where there is none; give its address.

    Where to, and as whom, is the hub's own client's affair: `HF_ENDPOINT`, `HF_TOKEN` or `hf auth login`. Raises
    InputError for a name that the hub would refuse, and TenfoldError where it cannot be reached or refuses.
    """
    from huggingface_hub import HfApi

    check_repository(repository)
    api = HfApi(library_name="tenfold")
    try:
        name = api.create_repo(repository, private=private, exist_ok=True).repo_id
        # Files of an earlier export that this one lacks would contradict its certificate.
        api.upload_folder(
            repo_id=name,
            folder_path=folder,
            commit_message="tenfold export",
            delete_patterns=["model*", "*.json", "predict.py"],
        )
    except Exception as error:  # the hub's client raises its own errors, its HTTP library's and the system's
        raise TenfoldError(
            f"{repository}: could not be uploaded to {api.endpoint} ({first_line(error)}). Check the name, the "
            "network, and that you are logged in with a token that may write: hf auth login, or HF_TOKEN."
        ) from error
    return f"{api.endpoint}/{name}"


def fetch_folder(name: str) -> Path:
    """The local copy of `hf:OWNER/NAME` or `hf:OWNER/NAME@REVISION`; only what changed is downloaded.

    Raises InputError for a name that is none or a repository that holds no export, TenfoldError where the hub cannot
    be reached and the cache has no copy.
    """
    from huggingface_hub import snapshot_download

    repository, _, revision = name.removeprefix(PREFIX).partition("@")
    check_repository(repository)
    try:
        folder = Path(
            snapshot_download(
                repository, revision=revision or None, allow_patterns=list(_FETCHED), library_name="tenfold"
            )
        )
    except Exception as error:  # as above
        raise TenfoldError(
            f"{name}: could not be fetched ({first_line(error)}). Check the name and the network; a private "
            "repository needs hf auth login or HF_TOKEN."
        ) from error
    if not (folder / MODEL).is_file() or not (folder / Run.contract.name).is_file():
        raise InputError(
            f"{name}: is not an exported model of tenfold's (it has no {MODEL} with {Run.contract.name}). "
            "`tenfold push` makes such repositories."
        )
    _verify(name, folder)
    return folder


def _verify(name: str, folder: Path) -> None:
    """Raise TenfoldError where a file is not the one that the certificate speaks of."""
    try:
        stated = json.loads((folder / CERTIFICATE).read_text(encoding="utf-8"))["files"]
        for file in (MODEL, Run.contract.name):
            with (folder / file).open("rb") as content:
                if hashlib.file_digest(content, "sha256").hexdigest() != stated[file]["sha256"]:
                    raise TenfoldError(
                        f"{name}: its {file} is not the one that its {CERTIFICATE} speaks of. Push the export again."
                    )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TenfoldError(
            f"{name}: its {CERTIFICATE} cannot be read ({error}). Push the export again."
        ) from None
