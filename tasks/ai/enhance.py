"""``ai/image-enhance``: a picture enlarged and restored by a network, or resampled where that is allowed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from ...core.errors import Code, RealmError
from ...core.references import ImageRef, local_path
from ...core.resources import GPU_SHARE, Gpu, Resources
from ..image.models import ImageInput, ResolvedImage, file_effects, resolve_image
from ..inference.models import ModelSpec, model_named
from ..sdk import Effects, Once, node_type
from .enhance_models import Denoising, EnhanceOutput, EnhanceParameters
from .restore_faces import FacePlan, plan_faces, told_of_faces

if TYPE_CHECKING:
    import numpy as np

    from ..context import NodeContext
    from ..imaging.decode import Source
    from ..imaging.formats import Format
    from ..imaging.metadata import Metadata
    from ..imaging.raster import Raster
    from ..inference.enhancer import Enhanced, Request

RESOURCES = Resources(gpu=Gpu.PREFERRED, gpu_share=GPU_SHARE, memory_mb=2048, cpu_millis=1000)

PACE_AFTER = 20.0
"""Seconds of work after which the rest can be foretold."""
PACE_MARGIN = 1.5
"""How many times more than the time left must be needed before the work is given up."""


@node_type(
    "ai/image-enhance",
    version="1.0.0",
    resources=RESOURCES,
    idempotent=True,
    timeout=1800,
    effects=lambda parameters, input: Effects(reads=file_effects(input), adds=["artifact"]),
    once=Once(weights=True),
)
def image_enhance(parameters: EnhanceParameters, input: ImageInput, context: NodeContext) -> EnhanceOutput:
    """Enlarge a picture and restore its detail with a super-resolution network.

    Runs Real-ESRGAN networks on the CPU or a GPU, in tiles that leave no seams. The weights come from
    `weights` or the models folder; nothing in a weights file is ever run. 16 bits stay 16, grey stays grey,
    transparency is kept; EXIF, XMP and the colour profile are carried with the new dimensions.

    Without weights, torch, memory or time enough, the node fails and says what to do, unless `fallback`
    allows a smaller model, or resampling (`classical`: Lanczos, gently sharpened); `degraded` and
    `degraded_reason` then say so.

    With `face_enhance`, faces are found in the source, laid straight, restored by GFPGAN and put back with
    soft edges, whatever the backend. A face that has more pixels than the network gives, or hardly any, is
    left; one that fails is said to have failed. Without GFPGAN's weights the node fails, or, where any
    `fallback` is allowed, leaves the faces and says why in `face_enhance`.

    Errors: DEPENDENCY_FAILURE for missing weights or packages, OUT_OF_RANGE when the result would have more
    pixels than `max_pixels` or its format allows, DATA_CORRUPTED and INVALID_ARGUMENT for weights that are
    not what they should be, RESOURCE_EXHAUSTED and DEADLINE_EXCEEDED when memory or time cannot suffice,
    and those of image/preprocess for the picture.
    """
    from ..imaging.decode import open_picture
    from ..imaging.raster import turned

    model, chosen = _chosen(parameters, context)
    if parameters.weights is None and parameters.backend != "classical":
        _provide(model, context)
        if "smaller-model" in parameters.fallbacks and model.smaller is not None:
            _provide(model_named(model.smaller), context)
    face_weights = _weights(parameters.face_weights, context) if parameters.face_weights else None
    faces = plan_faces(parameters, face_weights, context)
    request = replace(_request(parameters, model, context), faces=faces.request)
    resolved = resolve_image(input, context)
    with open_picture(resolved.path, name=resolved.name, max_pixels=context.settings.max_pixels) as source:
        format = _format(parameters, source)
        size = _result_size(source, format, parameters.factor, context)
        context.progress(0.02, f"decoding {source.size[0]}×{source.size[1]}")
        pixels, metadata = _pixels(turned(source.decode(), source.orientation), source.metadata)
        remarks = list(source.remarks)
    enhanced = _enhanced(pixels, request, parameters, context)
    context.check_canceled()
    remarks += chosen
    context.progress(0.92, f"encoding {size[0]}×{size[1]} {format.name}")
    metadata, remark = metadata.for_pixels(size, upright=True)
    remarks += [remark] if remark else []
    path, more = _encoded(enhanced.pixels, resolved.name, format, metadata, parameters.quality, context)
    image = _stored(path, size, resolved, format, metadata, context)
    context.progress(1.0, "done")
    return _output(image, format, enhanced, faces, parameters, context, [*remarks, *more])


def _chosen(parameters: EnhanceParameters, context: NodeContext) -> tuple[ModelSpec, list[str]]:
    """The network to run, and a remark where it is not the one that was named."""
    from ..inference.weights import weights_in

    model = model_named(parameters.model)
    if not parameters.use_x2 or model.doubling is None or parameters.weights or parameters.factor > 2:
        return model, []
    double = model_named(model.doubling)
    if weights_in(context.settings.model_folder.expanduser(), double.weights) is None:
        return model, []
    return double, [f"{double.name} in place of {model.name}: ×{parameters.factor:g} needs no more"]


def _provide(model: ModelSpec, context: NodeContext) -> None:
    """Let the shared place, or where allowed the publisher, fill the models folder. What is missing after that is
    said by whoever opens it, where a fallback may stand in."""
    from ..inference.catalogue import known_model
    from ..inference.enhancer import FALLS_BACK
    from .provision import provide

    try:
        provide(known_model(model.name), context.settings, check=context.check_canceled)
    except RealmError as error:
        if error.code not in FALLS_BACK:
            raise
        context.logger.info("%s", error.record.message)


def _request(parameters: EnhanceParameters, model: ModelSpec, context: NodeContext) -> Request:
    from ..inference.enhancer import Request

    return Request(
        model=model,
        models_folder=context.settings.model_folder,
        scale=parameters.scale_factor,
        outscale=parameters.outscale,
        cpu_allowed="cpu" in parameters.fallbacks,
        device=context.device,
        precision=parameters.precision,
        denoise=parameters.denoise_strength,
        tile=parameters.tile,
        overlap=parameters.tile_overlap,
        memory_mb=RESOURCES.memory_mb,
        compiled=context.settings.torch_compile,
        weights=_weights(parameters.weights, context) if parameters.weights else None,
        weights_sha256=parameters.weights_sha256,
    )


def _weights(given: str, context: NodeContext) -> Path:
    """The file that ``weights`` names: in the models folder, which the operator chose, or inside the
    roots."""
    folder = context.settings.model_folder.expanduser().resolve()
    path = local_path(given)
    inside = (folder / path).resolve()  # an absolute path stays what it is
    return inside if inside.is_relative_to(folder) and inside.is_file() else context.readable(inside)


def _format(parameters: EnhanceParameters, source: Source) -> Format:
    from ..imaging.pipeline import target_format

    return target_format(parameters.format, source.format)


def _result_size(source: Source, format: Format, factor: float, context: NodeContext) -> tuple[int, int]:
    """The result's size; OUT_OF_RANGE, before anything is computed, when nobody could open or store it."""
    from ..inference.enhancer import scaled

    width, height = scaled(source.size, factor)
    limit = context.settings.max_pixels
    if width * height > limit:
        raise RealmError(
            Code.OUT_OF_RANGE,
            f"{source.name} enlarged {factor:g} times would be {width}×{height}, "
            f"{width * height / 1e6:.0f} megapixels; the limit is {limit / 1e6:g}",
            hint="lower scale_factor, bound the picture before with image/preprocess max_size, "
            "or raise MIRROR_REALM_MAX_PIXELS",
            details={"width": width, "height": height, "max_pixels": limit},
        )
    if max(width, height) > format.max_side:
        raise RealmError(
            Code.OUT_OF_RANGE,
            f"{width}×{height} is too large for {format.name.upper()}, whose sides end at {format.max_side}",
            hint="lower scale_factor, or set format: png or tiff",
        )
    return width, height


def _pixels(raster: Raster, metadata: Metadata) -> tuple[np.ndarray, Metadata]:
    """The raster as an array of 8 or 16 bits, grey or RGB, with alpha where it has one; and what its
    profile is then. Ink becomes sRGB, since networks know only light."""
    import numpy as np

    from ..imaging.colour import srgb_profile, to_srgb
    from ..imaging.raster import is_deep, plain

    if is_deep(raster):
        return np.asarray(raster), metadata
    image: Any = plain(raster)  # pyright: ignore[reportArgumentType] - not deep: a Pillow image
    if image.mode == "CMYK":
        image, _ = to_srgb(image, metadata.icc)
        metadata = replace(metadata, icc=srgb_profile())
    if image.mode == "1":
        image = image.convert("L")
    return np.asarray(image), metadata


def _enhanced(
    pixels: np.ndarray, request: Request, parameters: EnhanceParameters, context: NodeContext
) -> Enhanced:
    from ..inference.enhancer import enhance

    return enhance(
        pixels,
        request,
        backend=parameters.backend,
        fallbacks=tuple(name for name in parameters.fallbacks if name != "cpu"),
        progress=_paced(context),
        check=context.check_canceled,
    )


def _paced(context: NodeContext) -> Callable[[int, int], None]:
    """Reports progress, and gives up early what cannot end in time, instead of computing until the
    timeout. The first turn at a GPU is waited for before that."""
    started = monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal started
        if done == 0:
            started = monotonic()
            return
        context.progress(0.05 + 0.85 * done / total, f"tile {done} of {total}")
        elapsed, left = monotonic() - started, context.remaining()
        needed = elapsed / done * (total - done)
        if left is not None and elapsed > PACE_AFTER and needed > PACE_MARGIN * left:
            raise RealmError(
                Code.DEADLINE_EXCEEDED,
                f"{total - done} of {total} tiles are left and need about {needed:.0f} s on {context.device}, "
                f"but the node has {left:.0f} s",
                hint="raise the node's timeout, run it on a GPU, or use a smaller model such as realesr-general-x4v3",
            )

    return progress


def _encoded(
    pixels: np.ndarray, name: str, format: Format, metadata: Metadata, quality: int, context: NodeContext
) -> tuple[Path, tuple[str, ...]]:
    import numpy as np
    from PIL import Image

    from ..imaging.encode import encode
    from ..imaging.pipeline import named_like

    folder = context.workdir / "enhanced"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / named_like(name, format)
    raster = pixels if pixels.dtype == np.uint16 else Image.fromarray(pixels)
    return path, encode(raster, path, format, metadata, quality=quality).remarks


def _stored(
    path: Path,
    size: tuple[int, int],
    resolved: ResolvedImage,
    format: Format,
    metadata: Metadata,
    context: NodeContext,
) -> ImageRef:
    from ..artifacts import sha256_file
    from ..imaging.facts import read_facts

    stored = context.artifacts.put(path, name=path.name, media_type=format.media_type)
    before = resolved.reference
    captured_at = before.captured_at if before else None
    return ImageRef(
        **stored.model_dump(),
        width=size[0],
        height=size[1],
        captured_at=captured_at or read_facts(metadata.exif).captured_at,
        source_sha256=(before.source_sha256 or before.sha256) if before else sha256_file(resolved.path),
    )


def _output(
    image: ImageRef,
    format: Format,
    enhanced: Enhanced,
    faces: FacePlan,
    parameters: EnhanceParameters,
    context: NodeContext,
    remarks: list[str],
) -> EnhanceOutput:
    work = enhanced.work
    if context.gpu_wanted and work.device == "cpu":
        remarks = [*remarks, "a GPU is preferred; this ran on a CPU"]
    return EnhanceOutput(
        image=image,
        width=image.width,
        height=image.height,
        format=format.name,
        size=image.size,
        processed_path=str(local_path(image.uri)) if image.uri.startswith("file:") else None,
        scale_factor=parameters.factor,
        model=parameters.model,
        made_by=enhanced.identity,
        backend=enhanced.backend,
        device=work.device,
        precision=work.precision,
        degraded=enhanced.degraded,
        degraded_reason=enhanced.degraded_reason,
        face_enhance=told_of_faces(parameters, faces, enhanced),
        denoise=_denoising(parameters, enhanced),
        tiles=work.tiles,
        tile=work.tile,
        seconds=round(enhanced.seconds, 3),
        remarks=[*remarks, *work.notes],
    )


def _denoising(parameters: EnhanceParameters, enhanced: Enhanced) -> Denoising:
    wanted, applied = parameters.denoise_strength, enhanced.work.denoise
    reason = None
    if wanted and applied is None:
        reason = f"{enhanced.identity} has no denoise control; it removes what it takes for noise"
    return Denoising(requested=wanted, applied=applied, reason=reason)
