"""Blocks of float32 scores: how many lie above thresholds, and which are too close to one to say."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

PEAK = 32_000
"""Largest size of a score in the unit of its block: as a code it fits 16 bits."""

NEVER = torch.iinfo(torch.int16).min
"""Score and code of what no threshold counts."""

PIECE = 16
"""How many codes are counted together."""

LANES = 4
"""16-bit codes in a number of 64 bits."""

STRIP = 2**18
"""Codes that each thread of a processor compares at a time: they and what comes of it stay in its cache."""

MOST_UNSURE = 64
"""If more than one pair in so many is unsure, the block is better computed in float64 as a whole."""

WIDEST_MARGIN = 500
"""Where rounding can change a score by more units than this, embeddings are too wide for float32."""


@dataclass(frozen=True)
class Thresholds:
    """What scores are compared with. Where there is no threshold, it is infinite.

    Attributes:
        limits: (2, …) float64: above the first a score surely is not below the threshold, and below the second it
            surely is.
        codes: (2, …) int16: a score is above the first limit, or not below the second, only if its code is larger.
    """

    limits: Tensor
    codes: Tensor


class ScoreBlock:
    """The scores of some texts (rows) and images (columns) in float32, and a fast way of counting with them.

    The float32 product of two vectors of n numbers is wrong by at most γ · |a| · |b| with γ = n·u / (1 − n·u), in
    whatever order it is summed, with u = 2⁻²⁴ (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1).
    Scores are in the unit in which the largest |a| · |b| is `PEAK`, so that this error is at most `margin` for all of
    them. What is further from a threshold is decided; the rest is unsure.

    Comparing float32 numbers and adding up would take longer than the product. So scores become 16-bit codes, and
    64-bit additions count four of them at once.

    Args:
        num_rows: The most texts in a block, up to 32,752.
        num_columns: The most images in a block.
        width: Length D of the embeddings.
        device: Where they are.
    """

    def __init__(self, num_rows: int, num_columns: int, width: int, device: torch.device) -> None:
        self.rows, self.columns = _round_up(num_rows, PIECE), _round_up(num_columns, LANES * PIECE)
        # The products and sums, three more roundings of either embedding, and two of the thresholds.
        roundings = (width + 8) * 2.0**-24
        self.margin = PEAK * roundings / (1 - roundings) if roundings < 0.5 else torch.inf
        self.scores = torch.full((self.rows, self.columns), float(NEVER), device=device)
        self._spare = torch.empty(0, device=device)
        strip = self.rows
        if device.type == "cpu":
            strip = min(strip, _round_up(STRIP * torch.get_num_threads() // self.columns, PIECE))
        self._codes = torch.empty(strip, self.columns, dtype=torch.int16, device=device)
        self._masks = torch.empty(2, strip, self.columns, dtype=torch.int16, device=device)

    def unit(self, text_norm: float, image_norm: float) -> float | None:
        """Return what scores are to be multiplied with; None if they cannot be computed in float32.

        Args:
            text_norm: The largest norm of a text embedding.
            image_norm: The largest norm of a view.
        """
        # Within these limits nothing overflows, and nothing that vanishes matters. NaN is outside.
        if not (1e-10 < text_norm < 1e15 and 1e-10 < image_norm < 1e15 and self.margin < WIDEST_MARGIN):
            return None
        return PEAK / (text_norm * image_norm)

    def thresholds(self, scores: Tensor, length: int) -> Thresholds:
        """Return thresholds, with infinite ones behind them up to a length of the last dimension.

        Args:
            scores: float64, in the unit of the block.
            length: At least as many as there are.
        """
        scores = pad(scores, (0, length - scores.shape[-1]), value=torch.inf)
        limits = torch.stack([scores + self.margin, scores - self.margin])
        # Cut towards zero, as the codes of scores are, so that a larger code means a larger number.
        high, low = limits.trunc().clamp(NEVER + 2, -NEVER - 1)
        return Thresholds(limits, torch.stack([high, low - 1]).to(torch.int16))

    def fill(self, texts: Tensor, views: Tensor, left_out: tuple[Tensor, Tensor]) -> None:
        """Compute the scores.

        Args:
            texts: (t, D) float32.
            views: (n, K, D) float32, multiplied with the unit.
            left_out: Rows and columns of pairs that no threshold counts.
        """
        num_images, num_views, _ = views.shape
        scores = self.scores[: len(texts), :num_images]
        torch.mm(texts, views[:, 0].T, out=scores)
        if num_views > 1 and not len(self._spare):
            self._spare = torch.empty_like(self.scores)
        for number in range(1, num_views):
            spare = self._spare[: len(texts), :num_images]
            torch.maximum(scores, torch.mm(texts, views[:, number].T, out=spare), out=scores)
        self.scores[len(texts) :] = NEVER
        self.scores[:, num_images:] = NEVER
        self.scores[left_out] = NEVER

    def compare(
        self, by_row: Thresholds, by_column: Thresholds, widths: Sequence[int]
    ) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor] | None]:
        """Count, for each threshold, the scores of its row or column that surely are not below it.

        Args:
            by_row: (rows,), one for each row, or none at all.
            by_column: (C, n), C for each of the first n columns, a multiple of four.
            widths: How many of the columns have each of these C thresholds; it is infinite for those behind them.

        Returns:
            The counts, first those by row, then (C·n,) those by column; and the pairs that float32 cannot decide, as
            the positions of their thresholds among these, their rows and their columns. None in place of them if they
            are too many.
        """
        along_rows, along_columns = self._counted(by_row.codes, by_column.codes, widths)
        lanes_of_row = along_rows[0].sum(dim=1).view(torch.int16).view(-1, LANES)
        lanes_of_column = along_columns[:, 0].sum(dim=1).view(torch.int16)
        counts = torch.cat([lanes_of_row.sum(dim=1), lanes_of_column.flatten().long()])

        lanes, unsure_by_row = _different(along_rows[0], along_rows[1])
        row, place = _split(lanes, self.columns // PIECE)
        word, lane = _split(place, LANES)
        row_start = row * self.columns + word * (LANES * PIECE) + lane
        lanes, unsure_by_column = _different(along_columns[:, 0], along_columns[:, 1])
        if unsure_by_row + unsure_by_column > self.scores.numel() // MOST_UNSURE:
            return counts, None
        piece, column = _split(lanes, by_column.codes.shape[2])
        number, piece = _split(piece, self.rows // PIECE)
        column_start = piece * (PIECE * self.columns) + column
        steps = torch.arange(PIECE, device=row.device)
        places = torch.cat([row_start[:, None] + LANES * steps, column_start[:, None] + self.columns * steps])
        owners = torch.cat([row, by_row.codes.shape[1] + number * by_column.codes.shape[2] + column])
        limits = torch.cat([by_row.limits, by_column.limits.flatten(1)], dim=1)
        codes = torch.cat([by_row.codes, by_column.codes.flatten(1)], dim=1)
        return counts, self._settle(counts, owners, places, limits[:, owners], codes[:, owners])

    def _counted(self, row_codes: Tensor, column_codes: Tensor, widths: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Count in pieces, four in a number, the codes above those of the two limits of each threshold.

        Args:
            row_codes: (2, rows) or (2, 0).
            column_codes: (2, C, n).
            widths: Of each of the C thresholds.

        Returns:
            Of the row thresholds (2, rows, ·): a number holds the counts of every fourth of 64 columns. Of the others
            (C, 2, ·, n / 4): a number holds the counts of 16 rows for 4 columns.
        """
        _, thresholds, most = column_codes.shape
        words = self.columns // LANES
        along_rows = row_codes.new_empty(2, row_codes.shape[1], words // PIECE, dtype=torch.int64)
        along_columns = row_codes.new_empty(thresholds, 2, self.rows // PIECE, most // LANES, dtype=torch.int64)
        words_of = [_round_up(width, LANES) // LANES for width in widths]
        for counted, length in zip(along_columns, words_of):
            counted[..., length:] = 0
        for start in range(0, self.rows, len(self._codes)):
            codes = self._codes[: self.rows - start]
            strip = slice(start, start + len(codes))
            pieces = slice(strip.start // PIECE, strip.stop // PIECE)
            masks = self._masks[:, : len(codes)]
            packed = masks.view(torch.int64)
            codes.copy_(self.scores[strip])
            if row_codes.shape[1]:
                torch.gt(codes, row_codes[:, strip, None], out=masks)
                torch.sum(packed.view(2, len(codes), -1, PIECE), dim=3, out=along_rows[:, strip])
            packed = packed.view(2, -1, PIECE, words)
            for number, length in enumerate(words_of):
                some = slice(length * LANES)
                torch.gt(codes[:, some], column_codes[:, number, None, some], out=masks[:, :, some])
                torch.sum(packed[..., :length], dim=2, out=along_columns[number, :, pieces, :length])
        return along_rows, along_columns

    def _settle(
        self, counts: Tensor, owners: Tensor, places: Tensor, limits: Tensor, codes: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Look at the scores themselves where a code in a piece is between those of a threshold's limits.

        Args:
            counts: What turns out to be above is added here.
            owners: (P,) threshold of each piece.
            places: (P, 16) positions of the scores of each piece in the block.
            limits: (2, P) of its threshold.
            codes: (2, P) of its threshold.

        Returns:
            As `compare` does, the pairs that are unsure.
        """
        scores = self.scores.view(-1)[places]
        code, (high, low), (high_code, low_code) = scores.trunc(), limits[..., None], codes[..., None]
        between = (code > low_code) & (code <= high_code)
        above = scores > high
        counts.index_add_(0, owners, (between & above).sum(dim=1))
        piece, number = (between & ~above & (scores >= low)).nonzero(as_tuple=True)
        return owners[piece], *_split(places[piece, number], self.columns)


def _different(fewer: Tensor, more: Tensor) -> tuple[Tensor, int]:
    """Return the positions of the lanes in which counts differ, and the sum of the differences."""
    difference = (more - fewer).view(-1)
    words = difference.nonzero().squeeze(1)
    lanes = difference.view(torch.int16).view(-1, LANES)[words]
    word, lane = lanes.nonzero(as_tuple=True)
    return words[word] * LANES + lane, int(lanes.sum())


def _split(positions: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return quotients and remainders."""
    return positions.div(size, rounding_mode="floor"), positions % size


def _round_up(number: int, multiple: int) -> int:
    return max(1, -(-number // multiple)) * multiple


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Keep float32 products from being computed in a shorter type, which users may have chosen for their model."""
    settings: list[Any] = [
        setting
        for setting in (torch.backends.cuda.matmul, getattr(torch.backends.mkldnn, "matmul", None))
        if hasattr(setting, "fp32_precision")
    ]
    before = [setting.fp32_precision for setting in settings]
    # Before torch 2.9 there is only this one setting.
    overall = None if settings else torch.get_float32_matmul_precision()
    try:
        for setting in settings:
            setting.fp32_precision = "ieee"
        if overall:
            torch.set_float32_matmul_precision("highest")
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for setting, value in zip(settings, before):
            setting.fp32_precision = value
        if overall:
            torch.set_float32_matmul_precision(overall)
