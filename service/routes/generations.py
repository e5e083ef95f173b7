"""The operator's calls: which generations there are, serve another one, go back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Security
from fastapi.security import HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials

from indexer import store
from indexer.store.history import promoted_stack
from service.account import current
from service.schemas import GenerationInfo, GenerationsAnswer, SwapAnswer
from service.snapshot import MODEL_DIGITS
from service.swap import Swap
from service.untold import without_paths
from service.wiring import Wired

_BEARER = HTTPBearer(
    auto_error=False, scheme_name="operatorKey", description="An operator key of the server."
)


def _operator(
    service: Wired,
    _shown_on_the_page: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
    authorization: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> None:
    current().key = service.keys.operator(authorization or "").name


router = APIRouter(prefix="/v1/index", tags=["index"], dependencies=[Depends(_operator)])


@router.get("/generations", summary="The generations there are")
def generations(service: Wired) -> GenerationsAnswer:
    """Newest first: what each holds, which model made it, which one serves, and what is wrong with any."""
    keeper, index = service.keeper, service.settings.index
    refused = keeper.refused
    listed = store.list_generations(index)
    with keeper.holder.borrow() as snapshot:
        serving = snapshot.id
    unfit = {
        one.id: without_paths(why, index)
        for one in listed
        if (why := one.problem or refused.get(one.id)) is not None
    }
    sound = {one.id for one in listed} - set(unfit)
    return GenerationsAnswer(
        serving=serving,
        rollback=next((one for one in promoted_stack(index)[-2::-1] if one in sound), None),
        degraded={why: without_paths(told, index) for why, told in keeper.readiness.degraded.items()},
        generations=[_phrase(one, serving, unfit.get(one.id)) for one in listed],
    )


@router.post("/promote", summary="Serve another generation")
async def promote(
    service: Wired,
    generation: Annotated[
        str,
        Query(
            description="Its id, as the list gives it, or newest (built last) or current (promoted last).",
            examples=["20261121T081502-5f0c2a"],
        ),
    ],
) -> SwapAnswer:
    """It is loaded, verified and tried aside first; requests under way end on the one they began with."""
    return _phrase_swap(await service.keeper.promote(generation))


@router.post("/rollback", summary="Serve again what was served before")
async def rollback(service: Wired) -> SwapAnswer:
    """Back to the generation that was promoted before the current one, model and index together."""
    return _phrase_swap(await service.keeper.rollback())


def _phrase_swap(swap: Swap) -> SwapAnswer:
    return SwapAnswer(generation=swap.generation, previous=swap.previous, model=swap.model)


def _phrase(listed: store.Listed, serving: str, problem: str | None) -> GenerationInfo:
    told = GenerationInfo(id=listed.id, serving=listed.id == serving, current=listed.current, problem=problem)
    manifest = listed.manifest
    if manifest is None:
        return told
    skipped = {
        name: sum(one.count for one in part.skipped.values()) for name, part in manifest.collections.items()
    }
    return told.model_copy(
        update={
            "created": manifest.created,
            "parent": manifest.parent,
            "model": manifest.fingerprint[:MODEL_DIGITS],
            "name": manifest.bundle_name,
            "counts": {name: part.count for name, part in manifest.collections.items()},
            "skipped": {name: count for name, count in skipped.items() if count},
            "map": manifest.map is not None,
            "bytes": sum(record.bytes for record in manifest.files.values()),
        }
    )
