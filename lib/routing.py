"""Where a request goes: upstream, credentials, and the upstream's name for the model.

Several upstreams can be configured; they stand in a fixed order. The model's name is first looked up in the model map.
Then, of the upstreams that serve the endpoint:

1. the one whose name stands before the model's (`openai/gpt-5.5`);
2. else the only one there is;
3. else the first whose catalogue lists the model;
4. else the first.

A caller's key may be for certain models only. They are allowed by the name that was asked for, or by the one that it
came to, with its upstream before it or without.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lib.catalogues import Catalogues, Target
from lib.errors import GatewayError, NotAllowed, NotFound, UpstreamError, Verdict
from lib.model_map import ModelMap, ModelNames, matches
from lib.types import Caller, Clock, Model, Route, Trace

GENERATE = "generate"
IMAGES = "images"
"""What an upstream may serve beside the paths that it forwards."""

_CLAUDE = "claude-"
"""Clients of the Messages API insist on such names: where no upstream has the model, the default one is meant."""

_MAX_SHOWN_CHARS = 100


class Router:
    """Picks routes.

    pooled: the upstreams for gateway keys, in their order. passthrough: makes the target for a caller's own token.
    default_model: for requests that name none; without it the best entry of the first catalogue is taken. cache_s: how
    long a catalogue is good. model_map: other names for models.
    """

    def __init__(
        self,
        pooled: Sequence[Target],
        passthrough: Callable[[Caller], Target],
        *,
        default_model: str | None,
        cache_s: float,
        now: Clock,
        model_map: ModelMap = (),
    ) -> None:
        self._pooled = pooled
        self._passthrough = passthrough
        self._default_model = default_model
        self._names = ModelNames(model_map)
        self._catalogues = Catalogues(cache_s=cache_s, now=now)

    async def pick(
        self, model: str | None, caller: Caller, endpoint: str = GENERATE, *, trace: Trace | None = None
    ) -> Route:
        """The route for one request. `model` None stands for the default. `endpoint`: GENERATE, IMAGES or a path that
        is forwarded (`/audio/speech`). Raises GatewayError; the trace then knows the upstream without a catalogue."""
        targets = self._targets(caller)
        serving = [target for target in targets if _serves(target, endpoint)]
        if not serving:
            raise _not_served(endpoint)
        asked = model
        if model is not None:
            model = self._names.find(model) or model
        if model is not None and model.startswith(_CLAUDE) and endpoint == GENERATE:
            model = await self._claude(model, serving, caller)
        if model is None and endpoint == GENERATE:
            model = await self._default(serving[0], caller, trace)
        target, model = await self._choose(model, targets, serving, caller, endpoint)
        if caller.allowed_models and not _is_allowed(caller, target.name, asked, model):
            raise _not_allowed(asked or model)
        return Route(
            target.upstream, target.credentials, model, target.images, target.forwarder, target.image_urls_only
        )

    def forwards(self, path: str, caller: Caller) -> bool:
        """Whether any upstream of this caller takes bodies for the path as they are."""
        return any(_serves(target, path) for target in self._targets(caller))

    async def models(self, caller: Caller, trace: Trace) -> list[tuple[Model, str]]:
        """What this caller may ask for, best first, each with its upstream's name; hidden ones are among them. A name
        that an earlier upstream has is listed with its upstream before it. Raises GatewayError; the trace then knows
        the upstream that failed."""
        targets = self._targets(caller)
        try:
            catalogues = await self._catalogues.of_all(targets, caller)
        except GatewayError:
            trace.upstream = targets[0].name  # none has a list, and the first one's failure is told
            raise
        listed: dict[str, tuple[Model, Target]] = {}
        for target, models in zip(targets, catalogues, strict=True):
            for model in models:
                listed.setdefault(model.id if model.id not in listed else f"{target.name}/{model.id}", (model, target))
        return [
            (model.named(name), target.name)
            for name, (model, target) in listed.items()
            if _is_allowed(caller, target.name, name, model.id)
        ]

    def _targets(self, caller: Caller) -> Sequence[Target]:
        return self._pooled if caller.token is None else (self._passthrough(caller),)

    async def _choose(
        self, model: str | None, targets: Sequence[Target], serving: Sequence[Target], caller: Caller, endpoint: str
    ) -> tuple[Target, str | None]:
        if model is None:
            return serving[0], None
        upstream, slash, rest = model.partition("/")
        named = next((target for target in targets if rest and target.name == upstream), None) if slash else None
        if named is not None:
            if named not in serving:
                raise _not_served(endpoint, upstream)
            # Some upstreams have names of this very form; one that lists the whole name means it.
            return named, model if await self._catalogues.lists(model, [named], caller) else rest
        if len(serving) == 1:
            return serving[0], model
        return await self._catalogues.lists(model, serving, caller) or serving[0], model

    async def _claude(self, model: str, serving: Sequence[Target], caller: Caller) -> str | None:
        others = [target for target in serving if target.any_vendor]
        return model if others and await self._catalogues.lists(model, others, caller) else None

    async def _default(self, target: Target, caller: Caller, trace: Trace | None) -> str:
        try:
            return self._default_model or await self._best(target, caller)
        except GatewayError:
            if trace is not None:
                trace.upstream = target.name
            raise

    async def _best(self, target: Target, caller: Caller) -> str:
        for model in await self._catalogues.of(target, caller):
            if not model.hidden:
                return model.id if len(self._targets(caller)) == 1 else f"{target.name}/{model.id}"
        raise UpstreamError(
            "The account's model list is empty. Name a model in the request, or set DEFAULT_MODEL.",
            verdict=Verdict.SERVICE,
            status=503,
            code="model_not_found",
        )


def _is_allowed(caller: Caller, upstream: str, asked: str | None, model: str | None) -> bool:
    """Whether the caller's key is for this model. model: the upstream's name for it; None leaves it to the upstream,
    and a key for certain models is not for that."""
    names = [asked] if asked else []
    if model:
        names += [model, f"{upstream}/{model}"]
    return all(any(matches(pattern, name) for pattern in group for name in names) for group in caller.allowed_models)


def _not_allowed(model: str | None) -> NotAllowed:
    what = "the upstream's own choice: name one in 'model'" if model is None else f"'{model[:_MAX_SHOWN_CHARS]}'"
    return NotAllowed(f"This key is for certain models, and not for {what}. GET /v1/models lists them.", param="model")


def _serves(target: Target, endpoint: str) -> bool:
    if endpoint == GENERATE:
        return True
    if endpoint == IMAGES:
        return target.images is not None
    return target.forwarder is not None and endpoint in target.forwarder.endpoints


def _not_served(endpoint: str, upstream: str | None = None) -> NotFound:
    what = "images" if endpoint == IMAGES else f"/v1{endpoint}"
    who = f"The upstream '{upstream}' does" if upstream else "The configured upstreams do"
    return NotFound(
        f"{who} not serve {what}. Set OPENAI_API_KEY (with OPENAI_BASE_URL) to an upstream that does.",
        code="endpoint_not_served",
    )
