"""What `leccr demo` does: the Space, with a gallery that `leccr index` wrote behind it where one is given."""

import importlib
import io
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image as PillowImage

from processing.device import choose_device
from processing.images import open_image

from .errors import UserError, missing_extra
from .gallery.results import Result, file_of
from .gallery.store.catalogue import FILE, VIDEO, Item, select_items, sources_of
from .models.encoder import Encoder

if TYPE_CHECKING:
    from .gallery import Gallery

SIDE = 288


class GallerySearcher:
    """A gallery with the methods that the Space asks for (see `Searcher` in `spaces/space_search.py`).

    Args:
        gallery: An open gallery.
    """

    def __init__(self, gallery: "Gallery") -> None:
        self.gallery = gallery
        encoder = gallery.encoder
        self.retriever = space("model").Retriever(encoder.model, encoder.processor, encoder.name)

    def __len__(self) -> int:
        return len(self.gallery)

    def search(self, text: str, k: int) -> list[Any]:
        """Return the k items that fit a text best, the best first."""
        return self._shown(self.gallery.search(text, k))

    def more_like(self, id: str, k: int) -> list[Any]:
        """Return the k other items that are most like one."""
        item, row, _ = self._open(id)
        found = self.gallery.search(self.gallery.encoder.image(row), k + 1)
        return self._shown([result for result in found if result.number != item.number][:k])

    def explain(self, id: str, text: str) -> Any:
        """Explain the score of an item for a text."""
        encoder = self.gallery.encoder
        item, row, picture = self._open(id)
        inputs = self.retriever.on_device(encoder.collator.image_inputs([row]))
        return space("explain").explain(
            self.retriever, inputs, encoder.texts([text])[0], item.path, item.description, picture
        )

    def _shown(self, results: list[Result]) -> list[Any]:
        return [
            space("search").Result(
                id=str(result.number),
                rank=rank,
                score=result.score,
                answered_by=result.view + 1 if self.retriever.num_slots else None,
                name=result.path,
                description=result.description,
                picture=_jpeg(self.gallery.thumbnail(result)),
            )
            for rank, result in enumerate(results, start=1)
        ]

    def _open(self, id: str) -> tuple[Item, dict[str, Any], PillowImage.Image]:
        """Return an item, its row for the collator, and a picture to show; its thumbnail where the file is gone."""
        error_class = space("errors").SpaceError
        with self.gallery.catalogue.reading() as connection:
            found = (
                select_items(connection, "number = ?", [int(id)])
                if id.isascii() and id.isdecimal() and len(id) < 19
                else []
            )
            sources = sources_of(connection)
            stored = connection.execute(
                "SELECT picture FROM thumbnails WHERE number = ?", [found[0].number if found else -1]
            ).fetchone()
        if not found:
            raise error_class("There is no picture with this id.")
        [item] = found
        small = None if stored is None else open_image({"bytes": stored[0], "path": None}, item.id)
        file = file_of(item, sources)
        row: dict[str, Any] = {"id": item.id, "image": None, "video": None, "description": item.description}
        try:
            if file is not None and item.kind == VIDEO and file.is_file():
                return item, {**row, "video": str(file)}, small or PillowImage.new("RGB", (SIDE, SIDE))
            picture = open_image(str(file), item.id) if file is not None and file.is_file() else small
        except ValueError as error:
            raise error_class("The picture's file is broken.") from error
        if picture is None:
            raise error_class("The picture's file is no longer there.")
        return item, {**row, "image": picture}, picture


def _jpeg(picture: PillowImage.Image | None) -> bytes:
    """Return a thumbnail as a JPEG; a grey one where there is none."""
    stream = io.BytesIO()
    (picture or PillowImage.new("RGB", (32, 32), "gray")).convert("RGB").save(stream, "JPEG", quality=85)
    return stream.getvalue()


def space_folder() -> Path:
    """Return the folder of the Space: beside the package in a checkout, or among the installed data files."""
    places = [Path(__file__).parents[1] / "spaces", Path(sysconfig.get_path("data")) / "share" / "leccr" / "spaces"]
    for place in places:
        if (place / "app.py").is_file():
            return place
    raise UserError("The folder spaces is not installed; run `leccr demo` from a checkout of the repository.")


def space(name: str) -> Any:
    """Return a module of the Space, whose folder is no package.

    Raises:
        UserError: If the Space, or something that it needs, is not installed.
    """
    folder = str(space_folder())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(f"space_{name}")
    except ModuleNotFoundError as error:
        raise missing_extra("demo", "The page") from error


def run_demo(
    gallery: str | None,
    model: str | None,
    training_scenes: int = 2000,
    device: str = "auto",
    dtype: str = "auto",
    **options: Any,
) -> Any:
    """Serve the Space.

    Args:
        gallery: A gallery's folder, a folder of pictures, or None for Scenes.
        model: A trained model; None for the gallery's own, or for one trained on the spot.
        training_scenes: Scenes that such a model sees.
        device: Where the model runs, as for `processing.device.choose_device`.
        dtype: Its precision, as for `processing.device.choose_dtype`.
        **options: Of Gradio's `launch`, such as `server_port`.

    Raises:
        UserError: If Gradio is not installed, or there is no such gallery, model or device.
    """
    chosen = choose_device(device)

    def load(name: str) -> Any:
        """Load a model with our own classes, and not the code that its repository carries."""
        encoder = Encoder.load(name, chosen, dtype)
        return space("model").Retriever(encoder.model, encoder.processor, name)

    if gallery is not None and not Path(gallery).exists() and Path(gallery).parent != Path():
        raise UserError(f"There is no folder {gallery}.")
    setup_, page = space("setup"), space("page")
    try:
        if gallery is not None and (Path(gallery) / FILE).is_file():
            from .gallery import Gallery

            searcher = GallerySearcher(Gallery.open(gallery, model, device=device, dtype=dtype))
            setup = setup_.Setup(lambda say: setup_.make_ready(searcher, Path(gallery).resolve().name)).finish()
        else:
            settings = setup_.Settings(model or "", gallery or "", training_scenes)
            setup = setup_.Setup(lambda say: setup_.build_ready(settings, say, load))
            # What was asked for by name fails here, in words; training is waited for on the page.
            setup.finish() if model else setup.start()
        return page.serve(page.build_page(setup), **options)
    except space("errors").SpaceError as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(f"The page cannot be served: {error}") from error
