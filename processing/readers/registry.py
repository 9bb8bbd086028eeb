"""The readers by name, with what they accept and what their splits are for."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from . import five_languages, flickr8k_cn, folder, mscoco, msrvtt_cn, multi30k, nrccr, vatex
from .files import Collection


@dataclass(frozen=True)
class Reader:
    """A reader of one data set.

    Args:
        title: The data set's name.
        read: Called with the folder of the data set's own files, and options.
        published: Where these files are published.
        protocol: What to train on, select by and test with, in a few sentences.
    """

    title: str
    read: Callable[..., Collection]
    published: str | None
    protocol: str

    @property
    def options(self) -> list[str]:
        """Names of the options that `read` accepts."""
        return [name for name in inspect.signature(self.read).parameters if name != "root"]


_NO_HUMAN_TRAINING = (
    "A cross-lingual run trains on English captions and machine translations only, never on captions that people "
    "wrote in a target language, and selects on the validation split."
)

READERS = {
    "flickr8k-cn": Reader(
        "Flickr8k-CN",
        flickr8k_cn.flickr8k_cn_rows,
        flickr8k_cn.PUBLISHED,
        "Train on English captions and one machine translation into Chinese. Validation, and test where it exists, "
        "have five Chinese captions per image, written by people independently of the English ones. "
        + _NO_HUMAN_TRAINING,
    ),
    "multi30k": Reader(
        "Multi30K",
        multi30k.multi30k_rows,
        multi30k.PUBLISHED,
        "Task 1 has one English caption an image, translated by people into German, French and Czech; task 2 has five "
        "English and five German ones, written independently; in French and Czech it has five English ones to train "
        "on, and task 1's to test with. The split `test` is that of 2016. " + _NO_HUMAN_TRAINING,
    ),
    "five-languages": Reader(
        "Flickr8k-CN and Multi30K joined",
        five_languages.five_languages_rows,
        f"{flickr8k_cn.PUBLISHED} and {multi30k.PUBLISHED}",
        "English, Chinese, German, French and Czech captions of Flickr8k's photos, in Flickr8k-CN's splits. A model "
        "trained on this must not be tested on Multi30K's own test split, whose photos may be in training here. "
        + _NO_HUMAN_TRAINING,
    ),
    "mscoco": Reader(
        "MSCOCO with COCO-CN or STAIR Captions",
        mscoco.mscoco_rows,
        mscoco.PUBLISHED,
        "Chinese in COCO-CN's splits, or Japanese in Karpathy's with 5,000 test images (`test`) or the first 1,000 of "
        "them (`test_1k`). " + _NO_HUMAN_TRAINING,
    ),
    "vatex": Reader(
        "VATEX",
        vatex.vatex_rows,
        vatex.PUBLISHED,
        "Of ten Chinese captions five were written independently and five translate the English caption that their "
        "source number points to. " + _NO_HUMAN_TRAINING,
    ),
    "msrvtt-cn": Reader(
        "MSR-VTT-CN",
        msrvtt_cn.msrvtt_cn_rows,
        msrvtt_cn.PUBLISHED,
        "MSR-VTT's splits, twenty English captions per video. " + _NO_HUMAN_TRAINING,
    ),
    "nrccr": Reader(
        "NRCCR and LECCR release",
        nrccr.nrccr_rows,
        nrccr.PUBLISHED,
        "Train on English captions and their machine translations; validation and test have captions by people in the "
        "target language, and mostly no English ones. " + _NO_HUMAN_TRAINING,
    ),
    "folder": Reader(
        "A folder of images or videos",
        folder.folder_rows,
        None,
        "The splits are those of the metadata or of the folder's subfolders, or drawn at random by file name.",
    ),
}
"""Readers by the name that `leccr prepare` takes."""
