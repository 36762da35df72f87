"""Pictures and words as vectors of one space (CLIP, Radford et al. 2021), through open_clip.

The preprocessing is the model's own: its size, means, interpolation and crop come with its configuration. The weights
are read as tensors only; nothing a file holds is run, and nothing is fetched here.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import logging
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import FINAL, Code, RealmError
from .catalogue import KnownModel
from .compat import INSTALL, ensure_torchvision, require_torch
from .kept import Kept
from .kept_models import KeptModels, module_bytes
from .networks import check_device
from .turns import turn
from .weights import check_file, read_tensors

if TYPE_CHECKING:
    from PIL import Image

BATCH = 32
"""Pictures or texts in one pass, unless told."""

Check = Callable[[], None]


@dataclass(eq=False)
class Embedder:
    """A model on a device. ``identity`` names it together with its weights: vectors of two identities never mix.

    ``scale`` and ``bias`` turn a cosine into the logit that the model was trained with; ``bias`` is ``None`` for one
    trained by softmax. ``languages`` is ``en``, or ``any``.
    """

    identity: str
    dimension: int
    device: str
    languages: str
    scale: float
    bias: float | None
    module: Any = field(repr=False)
    preprocess: Callable[[Image.Image], Any] = field(repr=False)
    tokenize: Callable[[list[str]], Any] = field(repr=False)

    def images(
        self, images: Sequence[Image.Image], *, batch: int = BATCH, check: Check = lambda: None
    ) -> np.ndarray:
        """Unit vectors (n, dimension) of upright RGB pictures, in float32."""
        torch = require_torch()
        return self._embed(
            images,
            batch,
            check,
            lambda part: torch.stack([self.preprocess(image.convert("RGB")) for image in part]),
            self.module.encode_image,
        )

    def texts(self, texts: Sequence[str], *, batch: int = BATCH, check: Check = lambda: None) -> np.ndarray:
        """Unit vectors (n, dimension) of sentences, in float32. What is longer than the model reads is cut."""
        return self._embed(
            texts, batch, check, lambda part: self.tokenize(list(part)), self.module.encode_text
        )

    def _embed(
        self,
        things: Sequence[Any],
        batch: int,
        check: Check,
        prepare: Callable[[Sequence[Any]], Any],
        encode: Callable[[Any], Any],
    ) -> np.ndarray:
        torch = require_torch()
        rows = []
        with torch.inference_mode():
            for start in range(0, len(things), batch):
                check()
                prepared = prepare(things[start : start + batch])
                with turn(self.device, check):
                    rows.append(encode(prepared.to(self.device)).float().cpu().numpy())
        vectors = np.concatenate(rows) if rows else np.empty((0, self.dimension), np.float32)
        return unit(vectors)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1, in float32. DATA_CORRUPTED for rows that have none: zeros, or numbers that are not finite."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if not np.isfinite(lengths).all() or not (lengths > 0).all():
        raise RealmError(
            Code.DATA_CORRUPTED,
            "the model gave a vector without a direction",
            hint="check its weights with `realm models verify`",
        )
    return (vectors / lengths).astype(np.float32)


embedders: KeptModels[Embedder] = KeptModels(lambda embedder: module_bytes(embedder.module))
"""The process's embedders."""

_digests: Kept[str] = Kept(limit=16)


def identity_of(model: KnownModel, weights: Path) -> str:
    """The name under which the vectors of ``model`` are kept: its weights, and where it is a person's own its
    configuration, decide it.

    The weights are read once, later calls of the process know them; DATA_CORRUPTED when they are not the published
    ones.
    """
    stat = weights.stat()
    expected = model.weights.sha256 if weights.name == Path(model.weights.file).name else None
    key = (str(weights), stat.st_size, stat.st_mtime_ns)
    digest = _digests.get(key, lambda: check_file(weights, expected).sha256)
    if (config := model.parameters.get("config")) is not None:
        digest = hashlib.sha256(digest.encode() + Path(config).read_bytes()).hexdigest()
    return f"{model.name}@{digest[:12]}"


def open_embedder(model: KnownModel, weights: Path, device: str = "cpu") -> Embedder:
    """The embedder of ``model`` on ``device``, from the process's cache where it is there.

    DEPENDENCY_FAILURE when open_clip is not installed; INVALID_ARGUMENT when the weights are of another network.
    """
    identity = identity_of(model, weights)
    open_clip = require_open_clip()
    check_device(device)
    return embedders.get(
        (identity, device),
        lambda: _load(open_clip, model, weights, device, identity),
        device,
        weights.stat().st_size,
    )


def require_open_clip() -> ModuleType:
    """The ``open_clip`` module; DEPENDENCY_FAILURE with the install command where it is missing."""
    for name, package in (("torch", "torch"), ("open_clip", "open-clip-torch")):
        if importlib.util.find_spec(name) is None:
            raise RealmError(
                Code.DEPENDENCY_FAILURE,
                f"embeddings need {package}, which is not installed",
                hint=f"install it with: {INSTALL}",
                details={"package": package, "install": INSTALL, FINAL: True},
            )
    # A tokenizer or tower that is not on this machine must fail at once, not be fetched behind everyone's back.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    ensure_torchvision()
    logging.getLogger().addFilter(_is_not_of_its_factory)  # adding it again changes nothing
    return importlib.import_module("open_clip")


def _is_not_of_its_factory(record: logging.LogRecord) -> bool:
    """open_clip warns on the root logger that a model is random when somebody else loads the weights, as we do."""
    return not record.pathname.endswith(("open_clip/factory.py", "open_clip\\factory.py"))


def _load(open_clip: ModuleType, model: KnownModel, weights: Path, device: str, identity: str) -> Embedder:
    architecture = str(model.parameters["architecture"])
    tensors = read_tensors(weights)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that no weights are loaded: they are, below
        try:
            module = open_clip.create_model(
                architecture,
                load_weights=False,
                force_quick_gelu=bool(model.parameters.get("quick_gelu")),
                pretrained_text=False,
            )
            tokenize = open_clip.get_tokenizer(architecture)
        except (RuntimeError, ValueError, KeyError, TypeError, OSError, ImportError) as error:
            raise RealmError(
                Code.DEPENDENCY_FAILURE,
                f"open_clip cannot build {model.name}: {' '.join(str(error).split())[:300]}",
                hint="check its open_clip_config.json; a tokenizer of the hub must lie in its folder",
            ) from None
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise RealmError(
            Code.INVALID_ARGUMENT,
            f"{weights} does not hold {model.name}: {' '.join(str(error).split())[:300]}",
            hint="fetch the weights again, or name the model that they are of",
        ) from None
    module.eval().requires_grad_(False).to(device)
    transform = importlib.import_module("open_clip.transform")
    bias = getattr(module, "logit_bias", None)
    return Embedder(
        identity=identity,
        dimension=int(model.capabilities["dimension"]),
        device=device,
        languages=str(model.capabilities["languages"]),
        scale=float(module.logit_scale.exp()),
        bias=None if bias is None else float(bias),
        module=module,
        preprocess=transform.image_transform_v2(
            transform.PreprocessCfg(**module.visual.preprocess_cfg), is_train=False
        ),
        tokenize=tokenize,
    )
