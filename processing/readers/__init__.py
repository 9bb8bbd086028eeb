"""Readers of published data sets into the project's row schema."""

from .checks import check_disjoint, check_splits, check_visuals
from .files import Collection, Rows, image_key
from .flickr8k_cn import read_flickr8k_cn
from .registry import READERS, Reader

__all__ = [
    "READERS",
    "Collection",
    "Reader",
    "Rows",
    "check_disjoint",
    "check_splits",
    "check_visuals",
    "image_key",
    "read_flickr8k_cn",
]
