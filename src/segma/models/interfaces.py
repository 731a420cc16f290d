"""What tasks need of a model: protocols, and the input a model wants. Tensors in, tensors out.

A model never inherits from anything here; having the methods is enough. Coordinates are in the model's
input frame (pixels of the square input), after `tasks.preprocess` has scaled them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class InputSpec:
    """The picture a model takes: a square of `size` pixels.

    `fit`: "pad" keeps the aspect ratio and pads right and bottom after normalising (SAM), "stretch"
    does not (SAM 2). `mean` and `std` are per channel on 0..255. `mask_size` is the side of the logits.
    `resize`: "uint8" rounds resized pixels to whole numbers (SAM), "float" does not (SAM 2's images).
    `looks_twice`: whether small things deserve a second look, at a part of the picture (our small models).
    `hedges`: whether the single mask answers one click too, as a mask between those it may mean (ours).
    """

    size: int
    mask_size: int
    fit: Literal["pad", "stretch"]
    resize: Literal["uint8", "float"] = "uint8"
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    looks_twice: bool = False
    hedges: bool = False


@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """What an encoder gives of an image, or of a batch.

    `embedding` is the map that prompts ask; `fine` are maps of smaller strides that the mask head adds,
    finest first (SAM 2 section 4), none in SAM. `fine` may have batch 1 beside an embedding for each object.
    """

    embedding: Float[Tensor, "batch dim h w"]
    fine: tuple[Tensor, ...] = ()


@dataclass(frozen=True, slots=True)
class DynamicChoice:
    """When the single mask is unsure, the best of the ambiguous set stands in (SAM 2's decoder, inference).

    Unsure: fewer than `threshold` of its pixels above -`offset` are above +`offset` (low-resolution logits).
    """

    offset: float = 0.05
    threshold: float = 0.98


@dataclass(frozen=True, slots=True)
class PromptTensors:
    """Prompts of a batch, in the input frame. `labels`: 1, 0, -1 padding, 2 and 3 box corners.

    `boxes` are separate where the model wants them so. Any part may be None.
    """

    coords: Float[Tensor, "batch points 2"] | None = None
    labels: Int[Tensor, "batch points"] | None = None
    boxes: Float[Tensor, "batch 4"] | None = None
    mask_logits: Float[Tensor, "batch 1 side side"] | None = None
    embeddings: Float[Tensor, "batch tokens dim"] | None = None


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the decoder knows before it draws a mask: a quality for each of its masks, cheaply.

    `state` is the model's own, and only the model reads it. `object_score` above 0 says that the object is
    there; None from models that do not tell.
    """

    predicted_iou: Float[Tensor, "batch masks"]
    state: Any  # each model's own tensors
    object_score: Float[Tensor, " batch"] | None = None


@runtime_checkable
class Promptable(Protocol):
    """Encode an image once, then decode masks for many prompts.

    Masks are numbered as the model numbers them: 0 the single one, 1..3 the ambiguous set.
    """

    input_spec: InputSpec
    mask_threshold: float
    dynamic_choice: DynamicChoice | None
    """None: the single mask always stands."""
    low_precision: tuple[str, ...]
    """Submodules whose linear layers and convolutions may run in bfloat16 or float16."""

    def encode_image(self, pixels: Float[Tensor, "batch 3 size size"]) -> ImageFeatures:
        """The features of normalised, padded pixels, ready to be asked."""
        ...

    def share(self, features: ImageFeatures) -> Any:  # each model's own tensors
        """What the decoder needs of one image whatever the prompt is: made once, passed to `decode`."""
        ...

    def decode(
        self,
        features: ImageFeatures,
        prompts: PromptTensors,
        shared: Any = None,  # what `share` gave
    ) -> Decoded:
        """Qualities of all masks for all prompts; no mask is drawn yet.

        The features are of one image, or of as many (conditioned) as there are prompts.
        """
        ...

    def render_masks(
        self, decoded: Decoded, prompt_index: Int[Tensor, " k"], mask_index: Int[Tensor, " k"]
    ) -> Float[Tensor, "k side side"]:
        """Low-resolution logits, float32, of the (prompt, mask) pairs asked for."""
        ...


@runtime_checkable
class JudgesViews(Protocol):
    """A model that chooses among the masks of one click at several scales; see `tasks.views`."""

    @property
    def views(self) -> tuple[float, ...]:
        """Shares of the picture's longer side to look at beside the whole; none until it has learned it."""
        ...

    def judge_views(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, "batch masks"]:
        """The IoU that each mask of all views, in their order, is thought to have."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class MemorySpec:
    """How much the weights can remember: `num_recent` temporal codes of recent frames, `num_pointers`."""

    num_recent: int = 6
    num_pointers: int = 16
    attends_others: bool = False
    """Whether the weights were trained with pointers of the other objects."""
    follows_masks: bool = False
    """Whether they were trained to be shown, on a tracked frame, the mask of the frame before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryBank:
    """What one object attends to on one frame (SAM 2 section 7 of the specification).

    `maps` are memories in the order of attention, `rows` the temporal code of each: 0 the frame just before,
    up to `num_recent` - 1; `num_recent` itself is that of conditioning frames; -1 none at all. A map may be
    pooled (h and w of it a whole fraction of the grid): then its cells lie in the middle of those they stand
    for. `distances` belong to `pointers`: frames from here in the direction of travel, over the longest
    distance (a float, about -1..1). `others` are pointers of other objects on the frame before. `previous`
    are the object's logits there, for weights that follow masks; None where it was not to be seen.
    """

    maps: tuple[Float[Tensor, "_ _ memory_dim"], ...]
    rows: tuple[int, ...]
    pointers: tuple[Float[Tensor, " dim"], ...] = ()
    distances: tuple[float, ...] = ()
    others: tuple[Float[Tensor, " dim"], ...] = ()
    previous: Float[Tensor, "side side"] | None = None


@runtime_checkable
class WithMemory(Promptable, Protocol):
    """A promptable model that follows objects through a video: what `tasks.track` needs.

    One frame is encoded once, for all objects. Per object the features are conditioned (by nothing on a first
    prompted frame, else by its bank), decoded, and what was decided becomes a memory and a pointer.
    """

    memory_spec: MemorySpec

    def encode_frame(self, pixels: Float[Tensor, "1 3 size size"]) -> ImageFeatures:
        """The features of a frame before any object has conditioned them."""
        ...

    def condition_first(self, frame: ImageFeatures) -> ImageFeatures:
        """The frame for an object that has no memory yet; `encode_image` is both steps."""
        ...

    def condition(self, frame: ImageFeatures, banks: Sequence[MemoryBank]) -> ImageFeatures:
        """The frame as each object sees it (batch = objects). No bank may be empty of maps."""
        ...

    def pointers(
        self, decoded: Decoded, mask_index: Int[Tensor, " batch"], present: Bool[Tensor, " batch"]
    ) -> Float[Tensor, "batch dim"]:
        """The object pointers of the masks chosen; the learned "no object" one where not `present`."""
        ...

    def reduce_masks(self, masks: Float[Tensor, "batch 1 size size"]) -> Float[Tensor, "batch 1 side side"]:
        """Masks (0 or 1) of the input frame as mask prompts, by the learned reduction."""
        ...

    def encode_memory(
        self,
        frame: ImageFeatures,
        masks: Float[Tensor, "batch 1 size size"],
        present: Bool[Tensor, " batch"],
    ) -> Float[Tensor, "batch h w memory_dim"]:
        """Memories, float32, of an unconditioned frame and masks in 0..1 (one or many)."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeSpec:
    """What a visual tokenizer gives.

    `num_codes` is 0 where there are no codes, `channels` (numbers of a latent) where there are no latents;
    some models give either. Sides of pictures are multiples of `side_multiple`; a code stands for `patch`
    pixels squared. A clip is one frame and then groups of `temporal_patch`. `chunk`: 0 for models that are
    causal in time, which take a clip of any length group by group; else the frames of a clip at most, as one
    of more is cut into such. `attends_whole`: whether some layer attends to a whole frame, so that its cost
    grows with the square of the pixels.
    """

    num_codes: int
    channels: int
    patch: int
    temporal_patch: int
    side_multiple: int
    chunk: int
    attends_whole: bool = True


@runtime_checkable
class VisualTokenizer(Protocol):
    """Pictures and clips to codes (or latents) and back: what `tasks.tokenize` needs.

    Pixels are value / 255 - 0.5; an image is a clip of one frame. A stream is what a causal model remembers
    of a clip whose groups come one after the other, one for encoding and one for decoding.
    """

    @property
    def code_spec(self) -> CodeSpec:
        """What it takes and gives."""
        ...

    def encode_codes(
        self, pixels: Float[Tensor, "batch 3 t h w"], stream: Any = None
    ) -> Int[Tensor, "batch groups rows columns"]:
        """The codes of a clip, or of its next groups; of models with a codebook."""
        ...

    def encode_latent(
        self, pixels: Float[Tensor, "batch 3 t h w"], stream: Any = None
    ) -> Float[Tensor, "batch groups rows columns channels"]:
        """The most likely latents of a clip, or of its next groups; of models without a codebook."""
        ...

    def decode_codes(
        self, codes: Int[Tensor, "batch groups rows columns"], stream: Any = None
    ) -> Float[Tensor, "batch 3 t h w"]:
        """The pixels of codes, not clamped."""
        ...

    def decode_latent(
        self, latent: Float[Tensor, "batch groups rows columns channels"], stream: Any = None
    ) -> Float[Tensor, "batch 3 t h w"]:
        """The pixels of latents, not clamped."""
        ...

    def encoding_stream(self) -> Any:  # each model's own
        """For a clip that comes in pieces: one frame first, then whole groups."""
        ...

    def decoding_stream(self) -> Any:  # each model's own
        """For codes or latents that come group by group."""
        ...


Order = Literal["class_start", "start_class", "codes", "words"]
"""What stands before the codes of a language model: class and start symbol in an order, nothing, or words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratorSpec:
    """What a generator makes: `groups` latent frames of `side` x `side` codes, or latents of `channels`.

    `num_codes` is 0 for latents, `channels` is 0 for codes; `num_classes` is 0 where nothing is asked for;
    `groups` is 0 where the sizes of a network are not of whole latent frames. `order` and `parity` (the slips
    of the official sampler, see `tasks.sample_codes`) are for codes; `latent_scale` (which latents are
    multiplied by), `guided_channels`, `cover` (parts of a latent, each way, whose share of the thing is made
    first, and then looked at in channels after the latent's), `velocity` (whether that is found, and not
    noise) and `has_time` for latents. In the order "words" there are `sentence` places for some of `words`,
    and a class is asked for by its name. `tokenizer` is the hash of the weights whose codes were learned; ""
    where that is not known.
    """

    groups: int
    side: int
    num_codes: int = 0
    channels: int = 0
    num_classes: int
    class_names: tuple[str, ...] = ()
    order: Order = "codes"
    words: tuple[str, ...] = ()
    sentence: int = 0
    tokenizer: str = ""
    parity: bool = False
    has_time: bool = False
    latent_scale: float = 1.0
    guided_channels: int = 0
    cover: int = 0
    velocity: bool = False


@runtime_checkable
class CodeGenerator(Protocol):
    """A language model over codes: what `tasks.sample_codes` needs.

    Ids are 0 for the start symbol, then classes or words, then codes; in the order "codes" codes alone.
    """

    @property
    def generator_spec(self) -> GeneratorSpec:
        """What it makes."""
        ...

    def new_cache(self, batch: int, length: int) -> Any:  # each model's own
        """What it remembers of so many rows of at most so many ids."""
        ...

    def extend(
        self,
        ids: Int[Tensor, "batch n"],
        start: int,
        cache: Any,  # of `new_cache`
        shown: Bool[Tensor, "batch n"] | None = None,
    ) -> Float[Tensor, "batch n vocabulary"]:
        """The logits after ids at positions `start` and following; those not `shown` are not there."""
        ...


@runtime_checkable
class LatentGenerator(Protocol):
    """A network that finds noise or velocity, and what its variance is: for `tasks.sample_latents`.

    Latents are (batch, channels, rows, columns), of clips (batch, groups, channels, rows, columns). Where
    `spec.cover` says so, an outline stands beside them, in more channels.
    """

    @property
    def generator_spec(self) -> GeneratorSpec:
        """What it makes."""
        ...

    def __call__(
        self,
        x: Float[Tensor, "batch *groups channels h w"],
        t: Int[Tensor, " batch"],
        y: Int[Tensor, " batch"],
    ) -> Float[Tensor, "batch *groups twice h w"]:
        """Noise or velocity in the first half of the channels, its variance's place in the second."""
        ...

    def guided(
        self,
        x: Float[Tensor, "batch *groups channels h w"],
        t: Int[Tensor, " batch"],
        y: Int[Tensor, " batch"],
        strength: float,
        *,
        channels: int,
    ) -> Float[Tensor, "batch *groups twice h w"]:
        """The same, the noise of the first channels pushed away from that of no class; 1 is no push."""
        ...

    def outlines(
        self,
        x: Float[Tensor, "batch parts h w"],
        t: Int[Tensor, " batch"],
        y: Int[Tensor, " batch"],
        strength: float,
    ) -> Float[Tensor, "batch parts h w"]:
        """Clean outlines of noisy ones, of a network that makes them, pushed away from those of nothing."""
        ...


Generator = CodeGenerator | LatentGenerator
