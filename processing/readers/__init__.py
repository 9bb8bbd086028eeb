"""Readers of published data sets into the project's row schema."""

from .flickr8k_cn import read_flickr8k_cn

__all__ = ["read_flickr8k_cn"]
