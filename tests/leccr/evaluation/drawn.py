"""What a drawn figure says."""

from typing import Any


def texts_of(figure: Any) -> str:
    from matplotlib.text import Text

    return "\n".join(" ".join(text.get_text().split()) for text in figure.findobj(Text))
