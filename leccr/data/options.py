"""The settings of `leccr prepare`, `describe` and `translate`, with their defaults.

Nothing heavy is imported here, so that the command line can show the defaults and check values before a model's
libraries are loaded.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """A generative model: in this process, or on a server that speaks OpenAI's chat completions.

    Attributes:
        model: Folder or Hub name of the model, or what the endpoint calls it.
        endpoint: Address of a server that runs the model. What follows up to `device` is for models in this process,
            the rest for servers.
        revision: Branch, tag or commit of the model on the Hub.
        batch_size: Pictures, videos or captions per batch.
        dtype: Precision of the model, as for `processing.device.choose_dtype`.
        device: Where the model runs, as for `processing.device.choose_device`.
        requests: Concurrent requests.
        timeout: Seconds to wait for an answer.
        key_variable: Environment variable that holds the server's key, if it needs one.
        trust_remote_code: Run code that a model in this process carries, if transformers does not know its kind.
    """

    model: str
    endpoint: str | None = None
    revision: str | None = None
    batch_size: int = 8
    dtype: str = "auto"
    device: str = "auto"
    requests: int = 16
    timeout: float = 120.0
    key_variable: str = "LECCR_API_KEY"
    trust_remote_code: bool = False


@dataclass(frozen=True, kw_only=True)
class DescribeOptions(ModelOptions):
    """Settings of `leccr describe`.

    Attributes:
        output: Folder for a copy of the data with descriptions; by default the data set itself gets them.
        prompts: Built-in set of questions (`views` or `single`), or a YAML file.
        num_frames: Maximum frames per video that the model sees.
        temperature: 0 for the most probable answers; higher values sample.
        seed: Random seed for sampling; second attempts always sample.
        skip_broken: Leave pictures and videos that cannot be decoded without a description.
        restart: Discard the answers of earlier runs.
    """

    output: Path | None = None
    prompts: str = "views"
    num_frames: int = 8
    temperature: float = 0.0
    seed: int = 0
    skip_broken: bool = False
    restart: bool = False


@dataclass(frozen=True, kw_only=True)
class TranslateOptions(ModelOptions):
    """Settings of `leccr translate`.

    Attributes:
        targets: Languages to translate into, ISO 639-1 codes.
        output: Folder for a copy of the data with translations; by default the data set itself gets them.
        system: Name for the captions' origin, `machine:<system>`; by default the last part of the model's name.
        splits: Splits to translate; None means all. Translations in the others stay as they are.
        back_translate: Translate back, and set each caption's weight to the chrF score of the result, divided by 100.
        back_model: Model that translates back, if the same one cannot.
        min_weight: Leave out captions with a smaller weight. They stay in the files next to the data, so that a run
            with another value decides again without translating again.
        batch_size: Captions per batch.
        beams: Width of the beam search; 1 is greedy.
        max_new_tokens: Maximum tokens per translation; a longer one is cut off and unusable.
        seed: Random seed for second attempts.
        restart: Discard the earlier translations of this system into these languages.
    """

    targets: Sequence[str]
    output: Path | None = None
    system: str | None = None
    splits: Sequence[str] | None = None
    back_translate: bool = False
    back_model: str | None = None
    min_weight: float = 0.0
    batch_size: int = 32
    beams: int = 4
    max_new_tokens: int = 128
    seed: int = 0
    restart: bool = False


@dataclass(frozen=True, kw_only=True)
class ReaderOptions:
    """What only some readers of `leccr prepare` take; None leaves it to the reader.

    Attributes:
        languages: Target languages.
        translation: Translation systems.
        task: Task of Multi30K.
        reserved_captions: Indices of the source captions that become the description.
        source_language: Language of a folder's column `caption`.
        shares: Shares of train, validation and test, which add up to 1.
        images: Folder of the images, if not in the data set's own folder.
        videos: Folder of the videos, if not in the data set's own folder.
        features: Folder of ready-made features, where there are several.
        descriptions: Folder of generated descriptions.
    """

    languages: Sequence[str] | None = None
    translation: Sequence[str] | None = None
    task: int | None = None
    reserved_captions: Sequence[int] | None = None
    source_language: str | None = None
    shares: Sequence[float] | None = None
    images: Path | None = None
    videos: Path | None = None
    features: str | None = None
    descriptions: Path | None = None

    def given(self) -> dict[str, Any]:
        """Return the options of readers that are not None, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(ReaderOptions)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class PrepareOptions(ReaderOptions):
    """Settings of `leccr prepare`.

    Attributes:
        root: Folder with the data set's own files, as they are published.
        embed_images: Copy the image files into the data set, or refer to them by path. Videos are always referred to.
        allow_missing: Leave out rows whose image or video is missing.
        allow_overlap: Let splits share images.
        skip_broken: Look at every picture and video and leave out those that cannot be decoded.
        machine_only: Leave captions that people wrote in target languages out of the training split.
        disjoint_from: Prepared data sets with whose splits this one must not share images, training with test and
            so on.
    """

    root: Path | None = None
    embed_images: bool = True
    allow_missing: bool = False
    allow_overlap: bool = False
    skip_broken: bool = False
    machine_only: bool = False
    disjoint_from: Sequence[Path] = ()
