"""Everything that can go wrong, in one tree.

SwitchyardError
├── ModelStoreError
│   ├── InvalidNameError        the caller wrote something that cannot be parsed
│   ├── InvalidArtifactError    the bytes are not a model this project serves
│   ├── PictureError            a caller's bytes are no picture, or a larger one than is decoded
│   ├── NotFoundError           the name is fine, nothing is there
│   ├── AlreadyExistsError      the key holds other bytes; nothing was overwritten
│   ├── IntegrityError          bytes do not match the digest that names them
│   ├── UnsignedError           the stage's key has not signed the version
│   ├── AccessDeniedError       the store refused these credentials
│   ├── LocalFileError          a file or folder of this machine cannot be read or written
│   ├── CollectionRunningError  garbage is being collected, and this would get in its way
│   └── StoreUnavailableError   the backend failed; the same call may work later
├── CatalogError                models.toml says something that cannot be (``catalog``)
├── TrainingError               a model could not be made (``training.errors``)
│   └── RecipeError             recipe.toml or data.toml says something that cannot be
└── ReleaseError                an alias could not be moved (``releases.errors``)

No HTTP and no AWS in here: each outer skin (command line, API) keeps its own table from these types
to exit codes and status codes.
"""

from __future__ import annotations


class SwitchyardError(Exception):
    """Base of every error this project raises on purpose.

    ``hint`` is one imperative sentence a person can act on. It is kept apart from the message so
    that the command line can print it on its own line and the API can leave it out.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class ModelStoreError(SwitchyardError):
    """Something about a stored model, its name or its bytes."""


class InvalidNameError(ModelStoreError, ValueError):
    """A model, alias or version was written in a form that cannot be parsed."""


class InvalidArtifactError(ModelStoreError, ValueError):
    """The offered bytes are not a model that can be served safely."""


class PictureError(ModelStoreError, ValueError):
    """The bytes that a caller sent as a picture are none, or more of one than is decoded."""


class NotFoundError(ModelStoreError, LookupError):
    """A well-formed name points at nothing."""


class AlreadyExistsError(ModelStoreError):
    """A write-once key already holds other bytes, and still does."""


class IntegrityError(ModelStoreError):
    """Bytes were read whose digest is not the one that names them."""


class UnsignedError(ModelStoreError):
    """The key that a stage trusts has not signed this version, or what it signed is another manifest."""


class AccessDeniedError(ModelStoreError):
    """The backend knows the caller and refuses the call."""


class LocalFileError(ModelStoreError):
    """A file or folder of this machine cannot be read or written; the store is not to blame."""


class CollectionRunningError(ModelStoreError):
    """A collection is under way that this call would race with. The same call works afterwards."""


class StoreUnavailableError(ModelStoreError):
    """The backend could not answer. Retrying the same call is safe."""


class CatalogError(SwitchyardError, ValueError):
    """The catalog (``models.toml``) is missing, misspelled or asks for something impossible."""


class TrainingError(SwitchyardError):
    """A model could not be made, or was made and is not good enough; nothing was published."""


class RecipeError(TrainingError, ValueError):
    """A file of the training room (``recipe.toml``, ``data.toml``) is missing, misspelled or impossible."""


class ReleaseError(SwitchyardError):
    """A release, rollback or deploy was refused; what is live did not change because of it."""
