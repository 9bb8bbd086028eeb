"""What goes to the Hub."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..data.facts import CARD
from ..gallery.store.catalogue import FILE as GALLERY_FILE

MODEL, DATASET = "model", "dataset"
# Left in the repository, these would be loaded in place of the new ones, or together with them.
STALE = ("*.safetensors", "*.safetensors.index.json", "*.parquet", GALLERY_FILE, "views-*")


@dataclass(frozen=True)
class Upload:
    """What would be, or is, uploaded.

    Attributes:
        kind: `checkpoint`, `gallery` or `data set`.
        repo_type: `model` or `dataset`.
        card: The `README.md`, before it is merged with the one on the Hub; None where there is none.
        files: Files by their name in the repository, or their content.
        left_out: Names in the folder that are not uploaded.
        notes: What the person who publishes should know.
    """

    kind: str
    repo_type: str
    card: str | None
    files: Mapping[str, Path | bytes]
    left_out: Sequence[str] = ()
    notes: Sequence[str] = field(default_factory=list)

    def listing(self, repository: str) -> str:
        """Return lines that say what would be uploaded where, sizes in bytes."""
        sizes = {
            name: len(file) if isinstance(file, bytes) else file.stat().st_size for name, file in self.files.items()
        }
        if self.card is not None:
            sizes[CARD] = len(self.card.encode())
        lines = [f"The {self.kind} would go to the {self.repo_type} repository {repository}:"]
        lines += [f"  {size:>13,}  {name}" for name, size in sorted(sizes.items())]
        lines.append(f"  {sum(sizes.values()):>13,}  bytes in {len(sizes)} files")
        if self.left_out:
            lines.append(f"Left out: {', '.join(self.left_out)}.")
        return "\n".join([*lines, *self.notes, "Nothing was uploaded."])
