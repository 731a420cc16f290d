"""Everything a training run is: one frozen dataclass, which a recipe returns and `--set` changes by field."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class CropConfig:
    """How a picture becomes a training picture; see `training.augment`."""

    aimed: float = 0.45
    """Share of crops aimed at one object, which then fills `aimed_share` of the crop's side."""
    aimed_share: tuple[float, float] = (0.12, 0.9)
    whole: float = 0.3
    """Share of pictures taken whole; the rest are crops of a random part."""
    mosaic: float = 0.1
    """Share of pictures made of four others at about their own pixels, for small sharp objects."""
    aspect: float = 0.25
    """Largest change of the sides' ratio, as a share."""
    rotate: float = 0.15
    """Share of pictures turned by up to 20 degrees."""
    colour: float = 0.8
    """Share with brightness, contrast, saturation and hue changed."""
    grey: float = 0.05
    paste: float = 0.15
    """Share of the others with one to three things of other pictures pasted in front."""
    degrade: float = 0.3
    """Share blurred, noised or compressed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptConfig:
    """Which prompts a training step simulates (SAM appendix A, with clicks more like people's)."""

    objects: int = 6
    """Objects asked about in each picture, at most."""
    least: int = 3
    """Prompts of each picture, at least; with fewer objects some are asked about again, otherwise."""
    rounds: int = 3
    """The first prompt and the corrections after it."""
    box: float = 0.4
    """Share of objects whose first prompt is a box."""
    mask: float = 0.12
    """Share of objects first shown as a mask of where they were a moment ago, as a tracked object is."""
    jitter: float = 0.1
    """Largest shift of a side of a box, as a share of the box's extent."""
    inner: float = 0.5
    """Share of clicks from the inner half of their region; the others fall anywhere in it."""
    points: int = 1536
    """Places where a mask is compared with the truth: in its surroundings, near its edge, anywhere."""
    feed_back: float = 0.9
    """Share of corrections that see the logits of the round before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipConfig:
    """Clips for video steps (SAM 2 section 12 of the specification)."""

    frames: int = 6
    """Frames of a clip."""
    objects: int = 3
    """Objects of a clip, at most."""
    clips: int = 1
    """Clips of a batch."""
    strides: tuple[int, int] = (1, 5)
    reverse: float = 0.5
    """Share of clips that run backwards."""
    mask_prompt: float = 0.5
    """Share of clips prompted by masks; the others by a click or a box, evenly."""
    second_prompt: float = 0.3
    """Share of clips with a second prompted frame."""
    corrections: int = 2
    """Clicks that correct a frame prompted by a click or a box."""
    sprites: float = 0.5
    """Share of clips made of moving cut-outs of labelled pictures."""
    absent: float = 0.5
    """Share of sprites that leave and come back: about 12 % of the object-frames are absent then."""
    train_encoder: bool = False
    """Whether gradients reach the image encoder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig:
    """Weights of the losses (SAM 2 section 12 of the specification: 20, 1, 1, 1)."""

    focal: float = 20.0
    focal_alpha: float = 0.5
    """Share of the foreground; the compared places are balanced already, so not SAM's 0.25."""
    focal_gamma: float = 2.0
    dice: float = 1.0
    iou: float = 1.0
    presence: float = 1.0
    absence: float = 3.0
    """Weight of presence on tracked frames that do not show the object, which are few."""
    likeness: float = 0.5
    """Weight of features that tell objects from their surroundings; see `losses.likeness`."""
    hedge: float = 1.0
    """Weight of the single mask's IoU after one click, of networks that hedge."""
    edges: float = 0.0
    """Weight of telling edges from insides, a head used in training only; see `training.heads`."""
    names: float = 0.0
    """Weight of naming the objects, the other such head."""
    others: float = 0.05
    """Weight of the candidates that were not the best, where only one truth is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CodesConfig:
    """How a tokenizer learns (OmniTokenizer, section 6 of the specification); without, other runs go on."""

    sizes: tuple[int, ...] = (128,)
    """Sides of training pictures and clips, one drawn for each batch; batches have as many pixels always."""
    frames: int = 9
    """Frames of a clip; 1 and whole groups."""
    clips: int = 2
    """Clips of a batch, at the first of `sizes`."""
    strides: tuple[int, int] = (1, 3)
    panned: float = 0.4
    """Share of clips that are photos under a moving camera."""
    whole: float = 0.0
    """Share of pictures and clips of which the largest square is shown; of the others a part of it."""
    to_gaussians: bool = False
    """Whether codes are given up for Gaussians, with a new last layer (the paper's stage 3)."""
    same_codes: bool = False
    """Whether what chooses codes stays as it is, encoder and codebook, so that codes keep their meaning."""
    same_pictures: bool = False
    """Whether codes and latents of pictures and of first frames stay as they are: of what makes them, only
    what later frames go through is learned."""
    moving: bool = False
    """Whether a network without such layers gets them (`OmniTokenizerConfig.moving`)."""
    absolute: float = 4.0
    """Weight of the absolute error."""
    squares: float = 0.0
    """Weight of the squared error, which is what PSNR asks for."""
    spectra: float = 0.0
    """Weight of `losses.spectra`, which needs no features."""
    perceptual: float = 4.0
    """Weight of LPIPS, where `lpips` names its weights."""
    lpips: str = ""
    """An official checkpoint of OmniTokenizer, or another file with LPIPS weights under its names."""
    divergence: float = 1e-6
    """Weight of the Gaussians' divergence."""
    image_judge: float = 0.0
    """Weight of what the discriminator of pictures says (officially 0.01); 0: there is none."""
    video_judge: float = 0.0
    """The same of clips."""
    matching: float = 4.0
    """Weight of the discriminators' inner maps."""
    judge_start: int = 0
    """Steps before the discriminators have a say."""
    judge_rate: float = 0.1
    """Their rate, as a share of the tokenizer's."""
    revive_every: int = 25
    """Steps between two searches for codes that are not used."""
    revive_below: float = 0.05
    """Codes chosen less than this share of the mean count are moved."""

    @property
    def same_book(self) -> bool:
        """Whether the codebook stays as it is."""
        return self.same_codes or self.same_pictures


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratorConfig:
    """How generators learn: language models over codes (section 8), diffusion on latents (section 9)."""

    tokenizer: str = "tokenizer"
    """A name of `models.catalog`, or a weights file: whose codes or latents are learned."""
    made: int = 0
    """Portraits of `worlds.portraits` that are made and encoded before the first step; 0: the run learns from
    `data`, which is encoded as it comes."""
    codes: str = ""
    """A file that keeps the codes or latents of those for other runs and for going on; made where it is not
    there."""
    phrasings: int = 4
    """Sentences for each of them, of which each time one is drawn."""
    blank: float = 0.1
    """Share of rows whose class or sentence is left out, for guidance."""
    size: int = 128
    """Side of pictures and clips."""
    frames: int = 1
    """Frames of a clip; 1 and whole groups of the tokenizer. 1: pictures."""
    stride: int = 1
    """Frames of the video from one frame of a clip to the next."""
    classes: bool = True
    """Whether data are asked for by their class, the name of the folder that they lie in."""
    latent_scale: float = 0.0
    """Of diffusion: what latents are multiplied by, to be about as large as noise; 0: as the variant says."""
    variance: float = 1.0
    """Of diffusion: weight of the variational bound, from which the variance of the noise is learned."""
    noises: int = 16
    """Of outlines: noises that each is learned in, in a step."""
    outlines_alone: bool = False
    """Whether outlines alone are learned, and latents left as they are."""
    snr_limit: float = 0.0
    """Of diffusion: steps whose ratio of signal to noise is above this weigh less, by as much (Hang et al.
    2023, arXiv 2303.09556); 0: all steps weigh the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EnhanceConfig:
    """How enhancers learn: pictures are reduced, and are to be as they were."""

    tokenizer: str = "tokenizer"
    """A name of `models.catalog`, or a weights file: whose latents are looked at."""
    size: int = 64
    """Side of the reduced pictures."""
    area: float = 0.2
    """Share that is reduced by area; the others bicubic, with antialiasing."""
    jpeg: float = 0.15
    """Share that goes through JPEG then."""
    quality: tuple[int, int] = (60, 95)
    """Of that JPEG, lowest and highest."""
    coded: float = 0.1
    """Share that goes through the tokenizer's codes then, as what is read from a file of codes has."""
    softness: float = 1e-3
    """Below this error (of 0 to 1) the loss is a square, above it the absolute value (Charbonnier)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimConfig:
    """The optimizer, a warm-up and a cosine."""

    kind: str = "muon"
    """One of `optim.KINDS`; muon wants about three times AdamW's rate."""
    lr: float = 3e-3
    final_lr: float = 1e-5
    warmup: int = 150
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.99)
    clip: float = 1.0
    """Largest norm of the gradient."""
    ema: float = 0.998
    """Share of the old weights in each step of the running mean; smaller in the beginning."""
    accumulate: int = 1
    """Batches a step, of each process."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """A run. `steps` and `minutes` both end it, whichever comes first; so does the schedule."""

    name: str
    system: str = "sam2"
    """What is trained; a name of `models.catalog.SYSTEMS` that `training.course` knows."""
    variant: str = "sam2.1_conv_small"
    """A row of the model's VARIANTS, for a network that starts with random weights."""
    start: str = ""
    """A name of `models.catalog`, or a weights file, to start from instead."""
    image_size: int = 256
    """Side of the training pictures, and of the network's input; 0 for that of the weights."""
    data: tuple[str, ...] = ()
    """Folders with data, in any layout of `datasets.catalog`."""
    part: str = "train"
    """Which part of data with a split is trained on."""
    mix: tuple[str, ...] = ()
    """How often sources are drawn: `coco=3` draws from coco three times as often as by its size."""
    batch: int = 8
    steps: int = 5000
    minutes: float = 0.0
    """0 for no limit of time."""
    seed: int = 0
    workers: int = 1
    precision: str = "auto"
    """What the step computes in: auto, fp32 or bf16; weights and optimizer are float32 always."""
    parallel: str = "ddp"
    """How processes started by torchrun share a run: "ddp" or "fsdp", see `training.distributed`."""
    drop_path: float = 0.0
    save_minutes: float = 3.0
    validate_minutes: float = 15.0
    validate_objects: int = 200
    """Objects of pictures kept aside to ask about."""
    validate_clips: int = 8
    """Clips kept aside to follow, of runs on clips."""
    crop: CropConfig = field(default_factory=CropConfig)
    prompts: PromptConfig = field(default_factory=PromptConfig)
    clips: ClipConfig = field(default_factory=ClipConfig)
    video_share: float = 0.0
    """Share of steps on clips; the others are on pictures."""
    choice_clicks: int = 1500
    """Clicks that the choice among several scales is learned on at the end, of networks that make one; 0 for
    none, it stays as it was then."""
    frozen: tuple[str, ...] = ()
    """Beginnings of the names of weights that stay as they are."""
    blend: float = 1.0
    """Share of the trained weights in those that are saved; the rest are what the run started from."""
    held_out: float = 0.1
    """Share of the pictures that is kept for measuring, of data that do not say which to keep."""
    losses: LossConfig = field(default_factory=LossConfig)
    codes: CodesConfig = field(default_factory=CodesConfig)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    enhance: EnhanceConfig = field(default_factory=EnhanceConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
