"""What becomes of bad input and of missing libraries; defined in `processing.errors`, below all other packages."""

from processing.errors import MissingLibraryError, UserError, missing_extra

__all__ = ["MissingLibraryError", "UserError", "missing_extra"]
