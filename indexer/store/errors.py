"""What can be wrong with an index directory or with a question asked of it.

StoreError
├── IndexNotFound          no index there, or nothing promoted in it
├── UnknownGeneration      no generation of that id
├── GenerationDamaged      a file is missing, altered or of another schema
│   └── FingerprintMismatch    vectors and model do not belong together
├── VectorsUnreachable     the vectors live in a Milvus that cannot be used now
├── GenerationClosed       asked after close()
├── UnknownCollection      neither images nor captions, or not in this generation
├── UnknownItem            no item of that id
├── NoThumbnail            the item has none
├── NoMap                  the generation was built without one
├── MediaGone              the media file was moved, deleted or changed since the build
├── BadCursor              a page cursor this index did not give
├── NothingToRollBack      no earlier promotion left
├── RollbackLost           a prune would delete what a rollback returns to
└── BuildConflict          another build or prune holds the index
"""


class StoreError(Exception):
    """Anything below; the message is one sentence for the person who asked."""


class IndexNotFound(StoreError):
    """The directory holds no index, or no generation of it was ever promoted."""


class UnknownGeneration(StoreError):
    """The index has no generation of the id that was asked for."""


class GenerationDamaged(StoreError):
    """A generation is not what its manifest says."""


class FingerprintMismatch(GenerationDamaged):
    """The vectors of a generation were made by another bundle than the one beside them."""


class VectorsUnreachable(StoreError):
    """The vectors of a generation live in a Milvus that cannot be used now."""


class GenerationClosed(StoreError):
    """The generation was closed before this question."""


class UnknownCollection(StoreError):
    """The generation has no such collection."""


class UnknownItem(StoreError):
    """The collection has no item of the id that was asked for."""


class NoThumbnail(StoreError):
    """The item was indexed without a thumbnail."""


class NoMap(StoreError):
    """The generation was built without a map."""


class MediaGone(StoreError):
    """The media file behind an item is no longer the one that was indexed."""


class BadCursor(StoreError):
    """The page cursor was not given by this index."""


class NothingToRollBack(StoreError):
    """No generation that was promoted before the current one is left."""


class RollbackLost(StoreError):
    """So few generations were to be kept that nothing would be left to roll back to."""


class BuildConflict(StoreError):
    """Another process is changing the index."""
