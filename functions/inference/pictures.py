"""Pillow for the steps that read pictures, imported for versions that have one.

The two formats are asked for by name: Pillow's own ``open`` would first import those of others.
"""

from __future__ import annotations

import numpy as np

from model_store.contract.errors import IntegrityError
from model_store.contract.pictures import Library


def library() -> Library:
    """What reads pictures. Raises ``IntegrityError`` where no layer has it: a release would have refused."""
    try:
        from PIL.JpegImagePlugin import JpegImageFile
        from PIL.PngImagePlugin import PngImageFile
    except ImportError as error:
        raise IntegrityError(
            f"the version takes files of pictures, and nothing here reads them: {error}",
            hint='Set `runtime = "image"` for the model in the catalog, and deploy.',
        ) from error
    return Library(JpegImageFile, PngImageFile, np)
