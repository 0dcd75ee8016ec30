"""Pages by key: each begins after the last item of the one before, whatever was added meanwhile."""

from collections.abc import Sequence

from authz_service.answers import Document


def page(items: Sequence[Document], limit: int) -> Document:
    """The first `limit` of the items, of which one more was read, and whether there is more."""
    return {"data": list(items[:limit]), "has_more": len(items) > limit}
