"""Configuration of the LECCR retrieval network."""

from typing import Any, Literal

from transformers import AutoConfig, PreTrainedConfig

from .fields_leccr import (
    NOT_RANKED,
    as_config,
    check_not_negative,
    check_positive,
    check_shares,
    check_text_layers,
    checked,
    without_local_paths,
)

SUB_CONFIGS = ("vision_config", "text_config", "description_config")


def _hidden_width(config: PreTrainedConfig) -> int | None:
    """Return the width of a vision tower's tokens where its configuration says so."""
    sizes = getattr(config, "hidden_sizes", None)
    return sizes[-1] if sizes else getattr(config, "hidden_size", None)


@checked
class LeccrConfig(PreTrainedConfig):
    """Everything that defines a `LeccrModel`: two towers, the interaction between them, and the objectives.

    One network class serves every method. `num_slots=0` is a plain dual encoder, with `description_fusion=True` it
    is late fusion, and `num_slots>0` is LECCR (arXiv 2409.19961), with slots as published (`slot_anchor="none"`)
    or anchored in the query space (`slot_anchor="text"`). With `slot_source="sentences"` the slots are the sentences of
    the description.

    Towers:
        vision_config: Configuration of any vision tower that `AutoModel` knows, or None for ready-made features.
        text_config: Configuration of the multilingual text tower that encodes queries (and descriptions).
        description_config: Configuration of a separate, frozen encoder for descriptions, or None to share the text
            tower. It reads the ids of the same tokenizer.
        visual_feature_dim: Width of ready-made visual features; required when there is no vision tower, and for
            towers whose configuration does not say how wide their output is.
        projection_dim: Width D of the space that texts, images and slots share.
        vision_projection: Whether visual tokens are projected to `interaction_dim`. Off only where they have that
            width already.
        visual_hidden_dim: Width of a hidden layer in that projection; 0 for none.
        vision_summary: What stands for the whole image after the interaction: `"first"`, the summary token that a
            vision tower puts in front; `"mean"` of the valid tokens, for video frames and clip features; `"auto"`
            is `"first"` with a vision tower and `"mean"` without.
        vision_grid: Average-pool a CNN's feature map to this many rows and columns; None keeps every position.
        vision_standardize: Whether visual tokens are standardised with stored means and deviations
            (`ImageEncoder.set_feature_statistics`).
        vision_pooler: Whether a ViT's learned pooling layer, which is otherwise left out, makes the summary token.
        interpolate_pos_encoding: Whether a ViT's position embeddings are interpolated to the picture's size.
        visual_layers: Self-attention layers over visual tokens (temporal layers over frames or clip features).
        text_pooling: Which token states stand for a text: the first real one (`"cls"`, published), the `"mean"` of
            the real ones, that of the end-of-text token (`"eos"`, CLIP's text towers), or the `"last"` one even
            where it is padding (SigLIP's, which sees its padding: always pad to the length it was trained with).
        text_head: `"linear"` (published), `"mlp"` with one hidden layer, `"residual"`, the two added, for a tower
            that stays frozen, or `"pooler"`, BERT's pooling layer under a linear one.

        text_layers: Numbers of the text tower's layers whose token states are joined, such as `[12, 10]`, 0 being its
            embeddings; None for the output of the last one.
        text_standardize: Whether pooled text states are standardised with stored means and deviations.

    Slots:
        slot_source: What slots are made of: `"attention"` (published) of the whole description, `num_slots` of them;
            `"sentences"` of one sentence each, as many as an image has, and `num_slots` is then 0; or `"both"`.
        sentence_gate: How much of the image is in the slot of a sentence before training, g in unit(g·v + t).
        num_slots: Number K of slots from attention; 0 leaves the interaction out.
        slot_layers: Depth of the cross-attention from slot queries to the description.
        interaction_layers: Depth of the cross-attentions between slots and visual tokens.
        interaction_dim: Width d in which slots and visual tokens interact. Defaults to the projection width of a CLIP
            tower, and otherwise to `projection_dim`.
        interaction_heads: Attention heads of these layers and of the visual layers.
        slot_anchor: `"none"` as published; `"text"` adds to each slot an attention pooling of the description in
            the queries' own space, and lets the interaction join through gates that start at zero; `"image"` lets
            everything but the image itself join through such gates, for a model that starts from a dual encoder.
        normalize_slots: Whether slot embeddings have unit length. The official checkpoints were trained without.
        description_fusion: Without attention slots: v = unit(g·image + description), late fusion. An image without a
            description stays as it is.
        fusion_gate: The gate g of late fusion before training. At 0, and not learned, a description stands for its
            image alone.
        learn_fusion_gate: Whether g is trained.
        description_trust: Whether sentences, and descriptions in late fusion, are weighed by how well they fit the
            image: w = sigmoid(10·(a·cos(image, t) + b)), with a and b learned.
        alpha: Weight of the whole image against the best slot in the multi-level score.
        learn_alpha: Whether that weight is trained, which needs a `fused_weight`; saving writes its value to `alpha`.

    Objectives:
        beta: What `alpha` is to the score, inside the teacher of softened matching.
        softened_weight: λ, how much softened matching replaces vision-target matching.
        slot_weight: w_c, weight of slot-text matching.
        slot_vision_weight: w_cv, weight of slot-vision matching.
        diversity_weight: w_div, weight of the slots' diversity.
        source_target_weight: Weight of source-target matching.
        fused_weight: Weight of matching on the fused score itself (0 as published).
        image_only_weight: Weight of matching on the images without their descriptions, for those that have none.
        transfer_weight: w_kd, weight of the relational transfer from a cross-lingual teacher (CL2CM, arXiv 2312.08984);
            0 leaves it out. Its value and its exact form are our reconstruction.
        signed_diversity: Use the official signed diversity instead of squared cosines.
        slot_vision_temperature: Temperature of slot-vision matching.
        teacher_temperature: Temperature of the teacher of softened matching.
        transfer_temperature: τ_kd, temperature of the cross-lingual teacher.
        logit_scale_init_value: Initial log of the inverse temperature.
        max_inverse_temperature: The inverse temperature stays below this.
        logit_bias: Added to the scores by `LeccrModel.get_logits`: SigLIP's. The objectives do not depend on it.

    Training policy:
        freeze_vision: Freeze the vision tower when the model is built or loaded. Frozen towers run without dropout and
            keep their batch statistics. What the user changes afterwards holds, and is what saving writes here.
        freeze_text: The same of the text tower.
        freeze_text_layers: Freeze only the text tower's embeddings and so many of its lowest layers; 0 freezes none.
        learn_temperature: Whether the temperature is trained, or stays at its initial value.
        description_gradient: Whether the description states let the gradient through to the text tower.
        description_dropout: Share of training rows whose description is hidden, which trains the learned
            "no description" token.
        description_noise: Share of training rows that get the description of another row, which teaches
            `description_trust` to tell wrong ones.
        dropout: Dropout in the interaction layers and on the text embedding's head.
        visual_dropout: Dropout on the visual tokens' channels, before their projection. It and `token_dropout` help
            small towers trained from scratch on few pictures.
        token_dropout: Share of text tokens that training hides from the text tower; the first one always stays.
        encode_chunk_size: Most rows of a training batch that are encoded at once; None means all. The activations of a
            chunk are dropped and computed again in the backward pass, so that memory holds those of one.
        initializer_range: Standard deviation of the new layers' initial weights.
    """

    model_type = "leccr"
    sub_configs = {name: AutoConfig for name in SUB_CONFIGS}
    # There is no model without towers, and older transformers would otherwise build one to compare with.
    has_no_defaults_at_init = True
    keys_to_ignore_at_inference = NOT_RANKED

    # Configurations or None; dictionaries, as they are stored, become configurations.
    vision_config: Any = None
    text_config: Any = None
    description_config: Any = None
    visual_feature_dim: int | None = None
    projection_dim: int = 256
    vision_projection: bool = True
    visual_hidden_dim: int = 0
    vision_summary: Literal["auto", "first", "mean"] = "auto"
    vision_grid: int | None = None
    vision_standardize: bool = False
    vision_pooler: bool = False
    interpolate_pos_encoding: bool = False
    visual_layers: int = 0
    text_pooling: Literal["cls", "mean", "eos", "last"] = "cls"
    text_head: Literal["linear", "mlp", "residual", "pooler"] = "linear"
    text_layers: list[int] | None = None
    text_standardize: bool = False

    slot_source: Literal["attention", "sentences", "both"] = "attention"
    sentence_gate: float | int = 1.0
    num_slots: int = 4
    slot_layers: int = 3
    interaction_layers: int = 2
    interaction_dim: int | None = None
    interaction_heads: int = 8
    slot_anchor: Literal["none", "text", "image"] = "none"
    normalize_slots: bool = True
    description_fusion: bool = False
    fusion_gate: float | int = 1.0
    learn_fusion_gate: bool = True
    description_trust: bool = False
    alpha: float | int = 0.8
    learn_alpha: bool = False

    beta: float | int = 0.8
    softened_weight: float | int = 0.5
    slot_weight: float | int = 0.01
    slot_vision_weight: float | int = 0.01
    diversity_weight: float | int = 0.01
    source_target_weight: float | int = 1.0
    fused_weight: float | int = 0.0
    image_only_weight: float | int = 0.0
    transfer_weight: float | int = 0.0
    signed_diversity: bool = False
    slot_vision_temperature: float | int = 0.07
    teacher_temperature: float | int = 0.07
    transfer_temperature: float | int = 0.07
    logit_scale_init_value: float | int = 2.6592
    max_inverse_temperature: float | int = 100.0
    logit_bias: float | int = 0.0

    freeze_vision: bool = False
    freeze_text: bool = False
    freeze_text_layers: int = 0
    learn_temperature: bool = True
    description_gradient: bool = False
    description_dropout: float | int = 0.0
    description_noise: float | int = 0.0
    dropout: float | int = 0.1
    visual_dropout: float | int = 0.0
    token_dropout: float | int = 0.0
    encode_chunk_size: int | None = None
    initializer_range: float | int = 0.02

    def __post_init__(self, **kwargs: Any) -> None:
        for name in SUB_CONFIGS:
            setattr(self, name, as_config(name, getattr(self, name)))
        if self.vision_summary == "auto":
            self.vision_summary = "mean" if self.vision_config is None else "first"
        if self.visual_feature_dim is None and self.vision_config is not None:
            self.visual_feature_dim = _hidden_width(self.vision_config)
        if self.slot_source == "sentences":
            self.num_slots = 0
        if self.interaction_dim is None:
            self.interaction_dim = self._default_interaction_dim()
        super().__post_init__(**kwargs)

    def _default_interaction_dim(self) -> int:
        if not self.vision_projection:
            return self.visual_feature_dim
        if self.vision_config is not None and self.vision_config.model_type == "clip_vision_model":
            return self.vision_config.projection_dim
        return self.projection_dim

    def validate_towers(self) -> None:
        """Check the towers and the widths that follow from them."""
        if self.text_config is None:
            raise ValueError("A LECCR model needs a text tower: give text_config.")
        check_text_layers(self)
        if self.visual_feature_dim is None:
            raise ValueError(
                "The width of the visual features is unknown: give visual_feature_dim, or a vision_config that says so."
            )
        if not self.vision_projection and self.visual_feature_dim != self.interaction_dim:
            raise ValueError(
                f"Without vision_projection, visual_feature_dim {self.visual_feature_dim} has to equal interaction_dim "
                f"{self.interaction_dim}."
            )

    def validate_slots(self) -> None:
        """Check the slots and their layers."""
        check_not_negative(self, "visual_hidden_dim", "num_slots", "interaction_layers", "visual_layers")
        if self.num_slots and self.slot_layers < 1:
            raise ValueError(
                f"slot_layers is {self.slot_layers}, but has to be at least 1, or slots see no description."
            )
        if self.slot_source == "both" and not self.num_slots:
            raise ValueError(
                'slot_source is "both", but num_slots is 0; set it above 0, or slot_source to "sentences".'
            )
        check_positive(self, "interaction_heads")
        if (self.num_slots or self.visual_layers) and self.interaction_dim % self.interaction_heads:
            raise ValueError(
                f"interaction_dim {self.interaction_dim} is not a multiple of interaction_heads "
                f"{self.interaction_heads}; change one of them."
            )

    def validate_objectives(self) -> None:
        """Check weights and temperatures."""
        check_shares(self, "alpha", "beta", "softened_weight")
        if self.learn_alpha and not (0.0 < self.alpha < 1.0 and self.fused_weight > 0.0 and self.has_slots):
            raise ValueError(
                "learn_alpha needs slots, an alpha between 0 and 1 to start from, and a fused_weight above 0: only "
                "matching on the fused score depends on it."
            )
        check_positive(
            self, "slot_vision_temperature", "teacher_temperature", "transfer_temperature", "max_inverse_temperature"
        )

    @property
    def has_sentences(self) -> bool:
        """Whether sentences are slots."""
        return self.slot_source != "attention"

    @property
    def has_slots(self) -> bool:
        """Whether there are slots of any kind."""
        return bool(self.num_slots) or self.has_sentences

    @property
    def takes_descriptions(self) -> bool:
        """Whether descriptions change an image's embeddings."""
        return self.has_slots or self.description_fusion

    def validate_training_policy(self) -> None:
        """Check the shares that training hides, the number of frozen layers, and the size of chunks."""
        check_not_negative(self, "freeze_text_layers")
        check_shares(self, "description_dropout", "description_noise", "dropout", "token_dropout", "visual_dropout")
        check_positive(self, "encode_chunk_size")

    def get_text_config(self, decoder: Any = None, encoder: Any = None) -> PreTrainedConfig:
        """Return the text tower's configuration, which transformers asks for sizes and special tokens."""
        return self.text_config if self.text_config is not None else self

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as they are stored: without the folders that towers were loaded from."""
        return without_local_paths(super().to_dict(), "_name_or_path")
