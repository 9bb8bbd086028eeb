"""The one row schema that every data set of the project follows: one row per image or video."""

from datasets import Features, Image, List, Value

ORIGIN_HUMAN = "human"
ORIGIN_MACHINE_PREFIX = "machine:"

TARGET_CAPTION = {
    "language": Value("string"),
    "text": Value("string"),
    "source_number": Value("int32"),
    "origin": Value("string"),
    "weight": Value("float32"),
}
"""A caption in a target language.

`source_number` is the position in `source_captions` of the caption that it translates, or null when it was
written independently. `origin` is `"human"` or `"machine:<system>"`. `weight` in [0, 1] is how far training
should trust a translation; null means 1.
"""

ROW_FEATURES = Features(
    {
        "id": Value("string"),
        "image": Image(),
        "video": Value("string"),
        "source_language": Value("string"),
        "source_captions": List(Value("string")),
        "target_captions": List(TARGET_CAPTION),
        "description": Value("string"),
    }
)
"""Columns of a row.

`image` is null for a video, whose file `video` names, and may be null where visual features are next to the data.
`description` may be null.
"""


def machine_origin(system: str) -> str:
    """Return the `origin` of captions translated by `system`, for example `machine:baidu`."""
    return ORIGIN_MACHINE_PREFIX + system
