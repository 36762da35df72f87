"""What ``ai/image-enhance`` is told, and what it answers."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ...core.errors import RealmError
from ...core.references import ImageRef
from ..inference.models import model_named
from .face_finding import AUTO as DETECTORS
from .face_finding import Detector

Fallback = Literal["cpu", "smaller-model", "classical"]


class EnhanceParameters(BaseModel):
    """What to make of the picture, with what, and what to do where that is missing."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(
        default="realesrgan-x4plus",
        description="The network; its weights are looked for in the models folder",
        examples=["realesrgan-x4plus", "realesrgan-x2plus", "realesr-general-x4v3"],
    )
    scale_factor: Literal[1, 2, 3, 4] = Field(
        default=2,
        description="Times as wide and high as before; 1 restores only. A ×4 network is scaled down",
    )
    outscale: float | None = Field(
        default=None,
        ge=1,
        le=4,
        description="In place of scale_factor, a factor that need not be whole: made at the next whole one and "
        "reduced by area",
        examples=[1.5],
    )
    use_x2: bool = Field(
        default=True,
        description="Where the result is to be at most twice as large, run the ×2 form of the model, if its weights "
        "are in the models folder: four times cheaper, and nothing is scaled down. made_by says which one ran",
    )
    denoise_strength: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="How much noise to remove, where model or backend has such a control; the output says",
    )
    face_enhance: bool = Field(
        default=False, description="Restore faces too, by GFPGANv1.4; the output says what became of each"
    )
    face_strength: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Share of the restored face in the result; 0 leaves faces as they are",
    )
    face_detector: Detector = Field(default="auto", description=DETECTORS)
    face_weights: str | None = Field(
        default=None, description="A GFPGAN weights file of your own: a path, or a name in the models folder"
    )
    weights: str | None = Field(
        default=None,
        description="A weights file of your own for this model: a path, or a name in the models folder",
    )
    weights_sha256: str | None = Field(
        default=None, pattern=r"^[0-9a-fA-F]{64}$", description="What the weights file's bytes must be"
    )
    backend: Literal["auto", "torch", "realesrgan", "classical"] = Field(
        default="auto",
        description="torch runs the network; realesrgan does so by Real-ESRGAN's own packages (extra `restore`); "
        "classical resamples without one; auto is torch",
    )
    fallback: Literal["fail", Fallback] | list[Fallback] = Field(
        default="fail",
        description="What to do when the network cannot run for want of packages, weights, memory or time: fail, let "
        "a smaller-model stand in, or resample (classical) and say so in degraded; cpu goes on there when a GPU's "
        "memory does not suffice. A list is tried in turn",
        examples=["classical", ["cpu", "smaller-model", "classical"]],
    )
    tile: int = Field(
        default=0, ge=0, le=4096, description="Tile side in source pixels; 0 chooses by picture and memory"
    )
    tile_overlap: int = Field(
        default=32, ge=8, le=256, description="Source pixels that neighbouring tiles share"
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto", description="Of the network's numbers; auto is fp16 on a GPU and fp32 on a CPU"
    )
    format: Literal["keep", "jpeg", "png", "webp", "tiff", "heic"] = Field(
        default="keep", description="Format to write"
    )
    quality: int = Field(default=95, ge=1, le=100, description="Of JPEG, WebP and HEIC")

    @field_validator("model")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            return model_named(name).name
        except RealmError as error:
            raise ValueError(f"{error.record.message}: {error.hint}") from None

    @property
    def factor(self) -> float:
        """Times as wide and high as before."""
        return float(self.scale_factor) if self.outscale is None else self.outscale

    @property
    def fallbacks(self) -> tuple[Fallback, ...]:
        """What is allowed in place of the network on its device, in turn."""
        if isinstance(self.fallback, list):
            return tuple(self.fallback)
        return () if self.fallback == "fail" else (self.fallback,)


class RestoredFace(BaseModel):
    """What became of one face."""

    bounding_box: tuple[int, int, int, int] = Field(description="x, y, width, height in pixels of the result")
    confidence: float = Field(description="Of the detector")
    status: Literal["restored", "left", "failed"]
    reason: str | None = Field(default=None, description="Why it is not restored")
    mask: Literal["face", "square"] | None = Field(
        default=None,
        description="What was replaced: the face itself, or its square, fading in from the border (also where the "
        "network of masked_by sees no face)",
    )


class FaceEnhancement(BaseModel):
    """Whether faces were restored."""

    requested: bool
    applied: bool = Field(description="Whether at least one face was restored")
    reason: str | None = Field(default=None, description="Why not, where it was requested")
    strength: float | None = None
    detector: str | None = Field(default=None, description="What found the faces")
    made_by: str | None = Field(default=None, description="The network: model@digest of its weights")
    masked_by: str | None = Field(
        default=None,
        description="What said where the faces are in their squares: parsing_parsenet@digest where its weights are in "
        "the models folder",
    )
    faces: list[RestoredFace] = Field(default_factory=list, description="Each face found, surest first")


class Denoising(BaseModel):
    """How much noise was removed on request."""

    requested: float | None
    applied: float | None = Field(
        description="The strength in force; null where nothing was removed on request"
    )
    reason: str | None = Field(default=None, description="Why it is not what was requested")


class EnhanceOutput(BaseModel):
    """The enhanced picture, and everything about how it was made."""

    image: ImageRef
    width: int
    height: int
    format: str
    size: int = Field(description="Bytes")
    processed_path: str | None = Field(default=None, description="Where the result lies, if on this machine")
    scale_factor: float = Field(description="Times as wide and high as before")
    model: str = Field(description="The model that was asked for")
    made_by: str = Field(
        description="What made the pixels: model@digest of its weights, or a resampling method"
    )
    backend: str = Field(description="torch, realesrgan or classical")
    device: str = Field(description="cpu or cuda:N")
    precision: str
    degraded: bool = Field(description="Whether the fallback stood in for the model")
    degraded_reason: str | None = None
    face_enhance: FaceEnhancement
    denoise: Denoising
    tiles: int
    tile: int = Field(description="Tile side in source pixels; 0: the whole picture at once")
    seconds: float = Field(description="Of enhancing alone, without decoding and encoding")
    remarks: list[str] = Field(default_factory=list, description="What was decided or could not be carried")
