"""The card of a gallery: what it holds, and how to search it."""

from .sections import join_card


def gallery_card(name: str, items: int, model: str, kept_as: str) -> str:
    """Return a `README.md` for a gallery that is published as a data set.

    Args:
        name: How the gallery is called on the Hub, such as `org/name`.
        items: Number of pictures and videos.
        model: Name of the checkpoint that made the views.
        kept_as: How views are stored, such as `fp16`.
    """
    title = name.rpartition("/")[2]
    sections = {
        "what": (
            f"# {title}\n\nA gallery of {items:,} pictures and videos, to be searched by sentences in several "
            f"languages. It holds their vectors ({kept_as}) by the model `{model}`, their names, descriptions and "
            "thumbnails, but not the pictures and videos themselves."
        ),
        "usage": (
            "## How to search it\n\nWith leccr and the requirements of its extra `gallery` installed:\n\n```bash\n"
            f"hf download {name} --repo-type dataset --local-dir {title}\n"
            f'leccr search {title} "Ein Hund am Strand"\n```'
        ),
        "limits": (
            "## Limits\n\n- Whoever has the gallery sees thumbnails, file names and descriptions of everything in it.\n"
            "- Only the model that made it can search it.\n"
            "- Scores only rank the items; a query that fits nothing still gets a first answer."
        ),
    }
    return join_card({"pretty_name": title, "tags": ["leccr", "gallery", "cross-modal-retrieval"]}, sections)
