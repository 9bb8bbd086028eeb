"""The LECCR networks. The other files of this folder travel with every checkpoint as remote code."""

from .configuration_leccr import LeccrConfig
from .modeling_leccr import LeccrModel
from .outputs_leccr import LeccrImageOutput, LeccrOutput

__all__ = ["LeccrConfig", "LeccrImageOutput", "LeccrModel", "LeccrOutput"]
