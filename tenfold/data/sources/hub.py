"""Data sets of the Hugging Face hub: `hf:OWNER/NAME`, fetched once and read as the folder that they are.

Nothing of a repository is ever run: its files are read as those of any folder are. A run notes the commit, so that it
is opened again with the same files; what was fetched whole is opened without the network.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tenfold.core.checksums import hash_of
from tenfold.core.errors import InputError, TenfoldError
from tenfold.core.files import cache_folder, explained_write, write_json
from tenfold.core.hub import PREFIX, check_repository, first_line
from tenfold.core.text import listed, printable
from tenfold.data.sources.parts import split_named, split_of_file

_COMMIT = re.compile(r"[0-9a-f]{40}")
_NEVER_READ = (".py", ".md", ".gitattributes", ".gitignore")


@dataclass(frozen=True)
class HubName:
    """`hf:OWNER/NAME`, with a folder in it (`hf:OWNER/NAME/FOLDER`) and a revision (`...@REVISION`) maybe."""

    repository: str
    folder: str
    revision: str

    def __str__(self) -> str:
        folder = f"/{self.folder}" if self.folder else ""
        return f"{PREFIX}{self.repository}{folder}{f'@{self.revision}' if self.revision else ''}"


def parse_name(name: str) -> HubName:
    """The parts of a name. Raises InputError where it is none."""
    path, _, revision = name.removeprefix(PREFIX).partition("@")
    owner, _, rest = path.partition("/")
    repository, _, folder = rest.partition("/")
    if not owner or not repository or ".." in folder.split("/"):
        raise InputError(f"{name}: expected hf:OWNER/NAME, hf:OWNER/NAME/FOLDER or either with @REVISION.")
    check_repository(f"{owner}/{repository}")
    return HubName(f"{owner}/{repository}", folder.strip("/"), revision)


def pinned(name: str) -> str:
    """The name with the commit that it stands for now, or stood for when it was last asked for without a network.

    Raises TenfoldError where the hub cannot be reached and nothing was fetched before.
    """
    parts = parse_name(name)
    if _COMMIT.fullmatch(parts.revision):
        return str(parts)
    note = _notes() / f"{hash_of(str(parts).encode())}.json"
    try:
        commit = _info(parts).sha
    except TenfoldError:
        known = _read(note)
        if known is None or not isinstance(known.get("commit"), str):
            raise
        return str(HubName(parts.repository, parts.folder, known["commit"]))
    _write(note, {"commit": commit})
    return str(HubName(parts.repository, parts.folder, commit))


def fetch_data_set(name: str) -> Path:
    """The folder of a `pinned` name on this machine; fetched where not all of its files are there.

    Raises InputError where it has several configurations and no folder is named, and TenfoldError where the hub
    cannot be reached or refuses.
    """
    parts = parse_name(name)
    note = _notes() / f"{hash_of(str(parts).encode())}.json"
    if (whole := _whole(_read(note))) is not None:
        return whole
    info = _info(parts)
    _check_card(parts, info)
    files = [file for file in _files(info) if not parts.folder or file.startswith(f"{parts.folder}/")]
    if not files:
        raise InputError(f"{parts}: it holds no files of data{_folders(_files(info))}.")
    folder = _download(parts, files) / parts.folder
    below = [file[len(parts.folder) :].lstrip("/") for file in files]
    if missing := [file for file in below if not (folder / file).is_file()]:
        raise TenfoldError(f"{parts}: {printable(missing[0])} was not fetched. Give the command again.")
    _write(note, {"folder": str(folder), "files": below})
    return folder


def _download(parts: HubName, files: list[str]) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                parts.repository,
                repo_type="dataset",
                revision=parts.revision or None,
                allow_patterns=[_literal(file) for file in files],
                library_name="tenfold",
            )
        )
    except Exception as error:  # the hub's client raises its own errors, its HTTP library's and the system's
        raise _unreachable(parts, error) from error


def _info(parts: HubName) -> Any:
    from huggingface_hub import HfApi

    try:
        return HfApi(library_name="tenfold").dataset_info(parts.repository, revision=parts.revision or None)
    except Exception as error:  # as above
        raise _unreachable(parts, error) from error


def _unreachable(parts: HubName, error: Exception) -> TenfoldError:
    return TenfoldError(
        f"{parts}: could not be fetched ({first_line(error)}). Check the name and the network; a private or gated "
        "data set needs hf auth login or HF_TOKEN. Without a network: on another machine, `hf download "
        f"{parts.repository} --repo-type dataset --local-dir FOLDER`; then give that folder."
    )


def _literal(name: str) -> str:
    """A pattern that only this name matches."""
    return re.sub(r"([*?[])", r"[\1]", name)


def _files(info: Any) -> list[str]:
    """The files of a repository that may be data."""
    names = [sibling.rfilename for sibling in info.siblings or ()]
    return [name for name in names if not name.endswith(_NEVER_READ)]


def _folders(files: list[str]) -> str:
    folders = sorted({file.rpartition("/")[0] for file in files} - {""})
    return f"; its folders are {listed([printable(folder) for folder in folders])}" if folders else ""


# The card ----------------------------------------------------------------------------------------------------


def _check_card(parts: HubName, info: Any) -> None:
    """Raise InputError where the card says several configurations, or other splits than files' names."""
    configs = (info.card_data or {}).get("configs") or []
    named = [config for config in configs if isinstance(config, dict)]
    if len(named) > 1 and not parts.folder:
        names = listed([printable(str(config.get("config_name"))) for config in named])
        raise InputError(
            f"{parts}: it has {len(named)} configurations ({names}), which may hold the same images. Name the folder "
            f"of one: {PREFIX}{parts.repository}/FOLDER{_folders(_files(info))}."
        )
    for split, pattern in _said(named):
        for file in _files(info):
            if (
                _within(parts, file)
                and fnmatchcase(file, pattern)
                and split_of_file(file) != split_named(split)
            ):
                raise InputError(
                    f"{parts}: its card says that {printable(file)} is of the split {printable(split)!r}, which the "
                    "file's name does not. Download it, and name the files of each split with --train and --test."
                )


def _within(parts: HubName, file: str) -> bool:
    return not parts.folder or file.startswith(f"{parts.folder}/")


def _said(configs: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """(split, pattern of files) of every entry of the configurations that names a split."""
    for config in configs:
        entries = config.get("data_files")
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict) and "split" in entry:
                paths = entry.get("path")
                for path in paths if isinstance(paths, list) else [paths]:
                    yield str(entry["split"]), str(path)


# Notes of what was fetched -----------------------------------------------------------------------------------


def _notes() -> Path:
    return cache_folder() / "hub"


def _read(note: Path) -> dict[str, Any] | None:
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return known if isinstance(known, dict) else None


def _write(note: Path, value: dict[str, Any]) -> None:
    with explained_write(note):
        note.parent.mkdir(parents=True, exist_ok=True)
    write_json(note, value)


def _whole(known: dict[str, Any] | None) -> Path | None:
    """The folder that was fetched, if every file of it is still there."""
    match known:
        case {"folder": str(folder), "files": [*files]} if files:
            return Path(folder) if all((Path(folder) / str(file)).is_file() for file in files) else None
    return None
