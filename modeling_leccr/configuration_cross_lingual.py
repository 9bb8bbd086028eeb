"""Configuration of the cross-lingual network, the first stage of CL2CM."""

from typing import Any, Literal

from transformers import AutoConfig, PreTrainedConfig

from .fields_leccr import (
    as_config,
    check_not_negative,
    check_positive,
    check_shares,
    check_text_layers,
    checked,
    without_local_paths,
)


@checked
class CrossLingualConfig(PreTrainedConfig):
    """Everything that defines a `CrossLingualModel`: a text tower and two objectives.

    Fields that `LeccrConfig` has, too, mean the same there. Weights, temperature and the settings of the
    transport are our choice: the abstract of arXiv 2312.08984 gives none.

    Tower:
        text_config: Configuration of the multilingual text tower.
        projection_dim: Width D of the embeddings.
        text_pooling: `"cls"` or `"mean"` over the real tokens.
        text_head: `"linear"`, `"mlp"` with one hidden layer, or `"residual"`, as in `LeccrConfig`.
        text_layers: Layers whose states are joined, as in `LeccrConfig`.
        text_standardize: Whether states are standardised, as in `LeccrConfig`.

    Objectives:
        sentence_weight: Weight of matching whole sentences; 0 switches it off.
        word_weight: Weight of aligning words; 0 switches it off. Not both weights can be 0.
        transport_regularization: Weight of the plan's entropy, relative to the spread of the costs.
        transport_iterations: Sinkhorn's iterations. More of them cost time and hardly change the costs
            (`sinkhorn_plan`).
        word_temperature: Temperature of transport costs as scores against other sentences.
        logit_scale_init_value: Initial log of the inverse temperature.

    Training policy:
        freeze_text: Freeze the text tower when the model is built or loaded, as in `LeccrConfig`.
        freeze_text_layers: Freeze its embeddings and so many of its lowest layers, as in `LeccrConfig`.
        learn_temperature: Whether the temperature is trained, or stays at its initial value.
        dropout: Dropout on the embedding's head.
        token_dropout: Share of text tokens that training hides from the text tower; the first one always stays.
        encode_chunk_size: As in `LeccrConfig`. Token states of the whole batch are kept where words are aligned.
        initializer_range: Standard deviation of the initial weights of layers without a rule of their own.
    """

    model_type = "leccr_cross_lingual"
    sub_configs = {"text_config": AutoConfig}
    # There is no model without a tower, and older transformers would otherwise build one to compare with.
    has_no_defaults_at_init = True
    # Everything but the captions' embeddings, which evaluation ranks with.
    keys_to_ignore_at_inference = ["text_embeds", "source_embeds", "target_embeds", "loss_sentence", "loss_word"]

    # A configuration; a dictionary, as it is stored, becomes one.
    text_config: Any = None
    projection_dim: int = 256
    text_pooling: Literal["cls", "mean"] = "cls"
    text_head: Literal["linear", "mlp", "residual"] = "linear"
    text_layers: list[int] | None = None
    text_standardize: bool = False

    sentence_weight: float | int = 1.0
    word_weight: float | int = 0.1
    transport_regularization: float | int = 0.05
    transport_iterations: int = 20
    word_temperature: float | int = 0.07
    logit_scale_init_value: float | int = 2.6592

    freeze_text: bool = False
    freeze_text_layers: int = 0
    learn_temperature: bool = True
    dropout: float | int = 0.1
    token_dropout: float | int = 0.0
    encode_chunk_size: int | None = None
    initializer_range: float | int = 0.02

    def __post_init__(self, **kwargs: Any) -> None:
        self.text_config = as_config("text_config", self.text_config)
        super().__post_init__(**kwargs)

    def validate_tower(self) -> None:
        """Check that there is a text tower."""
        if self.text_config is None:
            raise ValueError("A cross-lingual model needs a text tower: give text_config.")
        check_text_layers(self)

    def validate_objectives(self) -> None:
        """Check weights, and the settings of the transport."""
        check_not_negative(self, "sentence_weight", "word_weight")
        if not (self.sentence_weight or self.word_weight):
            raise ValueError("sentence_weight and word_weight are both 0, which leaves nothing to train; raise one.")
        check_positive(self, "transport_regularization", "transport_iterations", "word_temperature")

    def validate_training_policy(self) -> None:
        """Check the shares that training hides, the number of frozen layers, and the size of chunks."""
        check_not_negative(self, "freeze_text_layers")
        check_shares(self, "dropout", "token_dropout")
        check_positive(self, "encode_chunk_size")

    def get_text_config(self, decoder: Any = None, encoder: Any = None) -> PreTrainedConfig:
        """Return the text tower's configuration, which transformers asks for sizes and special tokens."""
        return self.text_config if self.text_config is not None else self

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as they are stored: without the folders that towers were loaded from."""
        return without_local_paths(super().to_dict(), "_name_or_path")
