"""The networks. The other files of this folder travel with every checkpoint as remote code."""

from .configuration_cross_lingual import CrossLingualConfig
from .configuration_leccr import LeccrConfig
from .image_encoder_leccr import VisionTower
from .modeling_cross_lingual import CrossLingualModel
from .modeling_leccr import LeccrModel
from .outputs_leccr import CrossLingualOutput, LeccrImageOutput, LeccrOutput

__all__ = [
    "CrossLingualConfig",
    "CrossLingualModel",
    "CrossLingualOutput",
    "LeccrConfig",
    "LeccrImageOutput",
    "LeccrModel",
    "LeccrOutput",
    "VisionTower",
]
