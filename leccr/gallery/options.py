"""What can be chosen when galleries are built and searched; the defaults of Python and of the command line."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..defaults import DECODING_WORKERS

if TYPE_CHECKING:
    from ..models.reranker import Reranker

# How many of the first answers a reranker scores again.
RERANKED = 50
# What it adds is measured by `benchmarks/words.py`.
WORDS_WEIGHT = 0.5


@dataclass(frozen=True)
class AddOptions:
    """How a source is read and encoded.

    Attributes:
        split: Split of a data set; None means all.
        describe_with: Multimodal model that describes items without a description first.
        endpoint: OpenAI-compatible server that runs that model.
        description_weight: How much the sentences of descriptions count in the scores of a dual encoder, from 0 to 1;
            None means what the gallery has, or that they do not count.
        batch_size: Pictures per batch.
        workers: Decoding threads, or processes.
        processes: Whether to decode in processes in place of threads.
        commit_seconds: Seconds of work that a crash can cost at most.
        device: Where models run, as for `processing.device.choose_device`.
        frames: Whether animations, such as GIFs, are encoded as videos and not by their first picture; for models
            that take videos.
        ocr: Whether what is written in pictures is read for searches by words (`leccr.gallery.writing`).
        exclude: Patterns, as in a `.gitignore`, of what is left out of a folder, also when it is added or synchronised
            later; a `.leccrignore` in a folder has them, too.
    """

    split: str | None = None
    describe_with: str | None = None
    endpoint: str | None = None
    description_weight: float | None = None
    batch_size: int = 32
    workers: int = DECODING_WORKERS
    processes: bool = False
    commit_seconds: float = 5.0
    device: str = "auto"
    frames: bool = False
    ocr: bool = False
    exclude: Sequence[str] = ()


@dataclass(frozen=True)
class SyncOptions(AddOptions):
    """How a gallery follows its folders.

    Attributes:
        keep_missing: Whether items whose files are gone are kept and marked, and not removed.
    """

    keep_missing: bool = False


@dataclass(frozen=True)
class IndexOptions(AddOptions):
    """How a source is read and encoded, and how the new gallery is stored.

    Attributes:
        dtype: Precision of the checkpoint, as for `processing.device.choose_dtype`.
        trust_remote_code: Run code that the model carries, if it is of a kind that the libraries do not know.
        store: How views are stored: `fp32`, `fp16` or `int8`.
        ann: `hnsw` or `ivfpq` for an approximate index; None for exact search.
        engine: `faiss`, or `milvus` for a server.
        uri: Address of the Milvus server, or a name that ends in `.db` for a file in the gallery's folder.
        shots: How long videos are divided into shots, each of which is found by itself: `auto` at the cuts of those of
            20 seconds or more, a number of seconds for shots of that length, or `none`; None means what the gallery
            has, or `auto`.
    """

    dtype: str = "auto"
    trust_remote_code: bool = False
    store: str = "fp32"
    ann: str | None = None
    engine: str = "faiss"
    uri: str | None = None
    shots: str | None = None


@dataclass(frozen=True)
class SearchOptions:
    """Which of the items that fit a query are answers.

    Attributes:
        where: A filter over the stored columns, such as `path~holiday and taken>=2024-06`.
        all_moments: Whether each shot of a long video is an answer of its own, and not only its best one.
        folded: Whether of near duplicates only the best is an answer, which names the others (`leccr.gallery.alike`).
        diverse: Whether answers are chosen to be unlike each other, and not only by their scores.
        sort: Order of the answers in place of the best first: `taken`, when a picture was taken, or `time`, when its
            file was last changed, the oldest first; `-taken` and `-time` have the newest first. Answers whose time is
            not known are the last.
        words: Weight of the words of descriptions, names, keywords and writing in the order of the answers to a text,
            from 0 to 1 (`leccr.gallery.fusion`). Words in quotes must occur whatever it is.
        rerank_with: Model that scores the first 50 answers to a text again, as `leccr.models.reranker.Reranker.load`
            takes it, or a loaded one; it decides which of them are answers.
        rerank_endpoint: OpenAI-compatible server that runs that model.
    """

    where: str | None = None
    all_moments: bool = False
    sort: str | None = None
    folded: bool = False
    diverse: bool = False
    words: float = WORDS_WEIGHT
    rerank_with: "str | Reranker | None" = None
    rerank_endpoint: str | None = None
