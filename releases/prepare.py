"""Prepare: make a model version able to answer, as a Lambda version on today's base (phase 1).

``$LATEST`` is borrowed for it under the lease: set to base plus model, waited for, compared,
published by revision and code digest, and set back to the bare base. Nothing that serves is touched:
a crash or a failure anywhere here costs at most a Lambda version that nobody points at. One that fails
its checks is marked unfit and never used (``releases.unfit``); the next attempt makes another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from model_store.contract import environment as env
from model_store.contract.deployment import function_name, model_layer_name
from model_store.contract.digest import Digest
from model_store.contract.errors import AlreadyExistsError
from model_store.contract.extensions import DOMAIN, HINT, needs_extensions
from model_store.contract.keys import manifest_key, prepared_key, prepared_prefix
from model_store.contract.kinds import ONNX, RUNS_ON, TORCH_PICKLE
from model_store.contract.manifest import Manifest
from model_store.contract.names import ByVersion
from model_store.ports import ObjectStore
from releases.archive import manifest_archive, model_archive
from releases.check import check
from releases.collected import collected
from releases.endpoints import (
    ByTarget,
    adopted_endpoint,
    can_be_asked,
    endpoint_for,
    floor_of,
    must_answer,
    must_stand,
    target_of,
)
from releases.errors import DisagreementError, LostRaceError, ReleaseError, UnfitVersionError
from releases.lease import LEASE_SECONDS, lease
from releases.placement import place
from releases.ports import Clock, FunctionConfig, Functions
from releases.records import UNRELEASED, Base, Prepared, timestamp
from releases.settle import wait_for_update, wait_until_active
from releases.unfit import UnfitMarks

Say = Callable[[str], None]

_CONFIGURE_ATTEMPTS = 4

UNRELEASED_DESCRIPTION = "no model: answers 503 until the first release"


class Preparer:
    """Prepares versions of the models of one stage."""

    def __init__(
        self,
        store: ObjectStore,
        functions: Functions,
        clock: Clock,
        *,
        stage: str,
        holder: str,
        say: Say,
        endpoints: ByTarget | None = None,
        lease_s: float = LEASE_SECONDS,
        vouched: Callable[[ByVersion], str] = lambda _: "",
    ) -> None:
        """``vouched`` says which manifest of a version was signed; what is made then loads no other."""
        self._store = store
        self._functions = functions
        self._clock = clock
        self._stage = stage
        self._holder = holder
        self._say = say
        self._endpoints = endpoints or {}
        self._lease_s = lease_s
        self._vouched = vouched
        self._unfit = UnfitMarks(store)

    def prepare(self, manifest: Manifest, base: Base) -> Prepared:
        """Return the Lambda version that is ``manifest`` on ``base``, made and checked if need be.

        Safe to repeat: what was prepared before and still holds is checked once more, which also
        warms it, and used again.
        """
        (prepared,) = self.prepare_all([manifest], base)
        return prepared

    def prepare_all(self, manifests: Sequence[Manifest], base: Base) -> list[Prepared]:
        """Prepare several versions of one model: all are published before the first is waited for.

        Becoming Active takes minutes with SnapStart, so the waits overlap. One that fails its checks
        fails them all; those that passed before it stay prepared.
        """
        made = [self._made(manifest, base) for manifest in manifests]
        for manifest, prepared in zip(manifests, made, strict=True):
            self._say(f"checking {manifest.ref} on Lambda version {prepared.lambda_version}")
            try:
                check(self._functions, self._clock, manifest, base.function, prepared.lambda_version)
            except UnfitVersionError as error:
                self._condemn(prepared, error)
                raise
            self._record(prepared)
        return made

    def _made(self, manifest: Manifest, base: Base) -> Prepared:
        """The published version, not checked yet."""
        must_run_on(manifest, target_of(base), own_image=base.environment.get(env.OWN_IMAGE) == "on")
        if target_of(base) == "lambda":
            must_have_its_operators(manifest, base)
        endpoint = self._answering_endpoint(manifest, base)
        if ready := self.find(manifest.model, manifest.version, base):
            return ready
        variables = _pinning(manifest, endpoint)
        if failed := self._unfit.failed(manifest.model, manifest.version, base.hash):
            variables[env.ATTEMPT] = str(failed + 1)
        self._say(f"publishing {manifest.ref} as a Lambda version")
        return self._published(manifest, base, endpoint, variables)

    def prepare_mirror(self, manifest: Manifest, base: Base, *, shadow: str) -> Prepared:
        """The model version ``manifest``, checked, on a Lambda version that also mirrors to ``shadow``.

        It is recorded nowhere: nothing but a shadow leads to it, and no rollback.
        """
        if base.environment.get(env.OWN_IMAGE) == "on":
            raise ReleaseError(
                f"`{manifest.model}` runs a container of its own, whose answers nothing here can compare",
                hint="Release the version as `candidate` and send it the same requests.",
            )
        endpoint = self._answering_endpoint(manifest, base)
        variables = _pinning(manifest, endpoint)
        made = self._published(manifest, base, endpoint, {**variables, env.SHADOW: shadow})
        check(self._functions, self._clock, manifest, base.function, made.lambda_version)
        return made

    def _published(
        self, manifest: Manifest, base: Base, endpoint: str, variables: dict[str, str]
    ) -> Prepared:
        """A Lambda version that is ``manifest`` on ``base``, with ``variables`` besides."""
        layer, where = self._placed(manifest, base, endpoint)
        carried = {
            **where,
            env.VERSION: str(manifest.version),
            env.DIGEST: str(manifest.digest),
            env.BASE: base.hash,
            **variables,
        }
        if signed := self._vouched(manifest.ref):
            carried[env.SIGNED_MANIFEST] = signed
        published = self._publish(
            manifest.model,
            base,
            layers=(*base.layers, layer) if layer else base.layers,
            environment={**base.environment, **carried},
            description=f"{manifest.ref} sha256:{manifest.digest.short} base:{base.hash}",
        )
        return Prepared(
            model=manifest.model,
            version=manifest.version,
            digest=str(manifest.digest),
            base=base.hash,
            lambda_version=published.version,
            model_layer=layer,
            at=timestamp(self._clock.now()),
            endpoint=endpoint,
        )

    def _answering_endpoint(self, manifest: Manifest, base: Base) -> str:
        """The endpoint of a heavy version, once it can be asked; empty for a model on Lambda."""
        name = endpoint_for(self._stage, manifest, base)
        endpoints = self._endpoints.get(target_of(base)) if name else None
        if endpoints is not None and name == adopted_endpoint(manifest):
            must_stand(endpoints, manifest)
        elif endpoints is not None:
            must_answer(
                endpoints,
                self._clock,
                manifest,
                name,
                stage=self._stage,
                say=self._say,
                floor=floor_of(base),
            )
        return name

    def has_its_endpoint(self, prepared: Prepared) -> bool:
        """Whether what ``prepared`` leads to is there and answers; always, for a model on Lambda."""
        if not prepared.endpoint:
            return True
        config = self._functions.config(function_name(self._stage, prepared.model), prepared.lambda_version)
        target = config.environment.get(env.TARGET, "") if config else ""
        return can_be_asked(self._endpoints.get(target), prepared.endpoint)

    def prepare_unreleased(self, model: str, base: Base) -> Prepared:
        """The version that an alias points at before the first release: the bare base, no model."""
        published = self._publish(
            model,
            base,
            layers=base.layers,
            environment=base.environment,
            description=UNRELEASED_DESCRIPTION,
        )
        active = wait_until_active(self._functions, self._clock, base.function, published.version)
        return Prepared.of(active, model=model)

    def find(self, model: str, version: int, base: Base) -> Prepared | None:
        """What was prepared on exactly this base and is still what the record says."""
        candidates = [found for found in self._usable(model, version) if found.base == base.hash]
        return next((found for found in candidates if self.holds(base.function, found)), None)

    def find_any(self, model: str, version: int, function: str) -> Prepared | None:
        """The newest Lambda version of this model version, whatever base it stands on."""
        records = self._usable(model, version)
        records.sort(key=lambda found: int(found.lambda_version), reverse=True)
        return next((found for found in records if self.holds(function, found)), None)

    def holds(self, function: str, prepared: Prepared) -> bool:
        """Whether Lambda still has this version and it is what the record says.

        A function that was deleted and made again counts its versions from 1, so a number alone
        proves nothing.
        """
        config = self._functions.config(function, prepared.lambda_version)
        return (
            config is not None
            and config.state != "Failed"
            and config.environment.get(env.VERSION) == str(prepared.version)
            and config.environment.get(env.DIGEST) == prepared.digest
            and config.environment.get(env.BASE) == prepared.base
            and config.environment.get(env.ENDPOINT, "") == prepared.endpoint
        )

    def layers_of(self, ref: ByVersion) -> set[str]:
        """The layers that ever carried this model version; the next release would use one again."""
        return {record.model_layer for record in self._records(ref.model, ref.version)} - {""}

    def _records(self, model: str, version: int) -> list[Prepared]:
        keys = list(self._store.keys(prepared_prefix(model, version)))
        return [Prepared.from_json(self._store.get(key)) for key in reversed(keys)]

    def _usable(self, model: str, version: int) -> list[Prepared]:
        """The records of what no collection has taken, or is about to."""
        records = self._records(model, version)
        gone = collected(self._store, model) if records else frozenset()
        return [found for found in records if (found.version, found.lambda_version) not in gone]

    def _condemn(self, prepared: Prepared, error: ReleaseError) -> None:
        """Mark a half-made version unfit. What passed its checks before stays what it was: fit once."""
        if prepared.version != UNRELEASED and not self._store.exists(_key(prepared)):
            self._unfit.mark(prepared, why=str(error), by=self._holder, at=timestamp(self._clock.now()))

    def _record(self, prepared: Prepared) -> None:
        try:
            self._store.put_once(_key(prepared), prepared.to_json())
        except AlreadyExistsError:
            # The same Lambda version of the same model on the same base was recorded before,
            # by a function that has been deleted and made again. The record is true either way.
            return

    def _placed(self, manifest: Manifest, base: Base, endpoint: str) -> tuple[str, dict[str, str]]:
        """The layer that carries the model, or the variables that say where to read it at start.

        What leads to an endpoint carries its manifest only, in a layer.
        """
        if endpoint or place(manifest, base).in_layer:
            return self._model_layer(manifest, base, endpoint), {}
        key = manifest_key(manifest.model, manifest.version)
        return "", {env.MANIFEST: key, env.MANIFEST_DIGEST: Digest.of(self._store.get(key)).hex}

    def _model_layer(self, manifest: Manifest, base: Base, endpoint: str) -> str:
        """The layer that carries the model, or its manifest; one that an earlier base used is used again."""
        for record in self._records(manifest.model, manifest.version):
            layer = record.model_layer
            fits = record.digest == str(manifest.digest) and bool(record.endpoint) == bool(endpoint)
            if layer and fits and self._functions.layer_exists(layer):
                return layer
        self._say(f"packing {manifest.ref} as a layer")
        return self._functions.publish_layer(
            model_layer_name(self._stage, manifest.model),
            manifest_archive(manifest) if endpoint else model_archive(self._store, manifest),
            description=f"{manifest.ref} sha256:{manifest.digest.hex}",
            architecture=base.architecture,
        )

    def _publish(
        self,
        model: str,
        base: Base,
        *,
        layers: tuple[str, ...],
        environment: dict[str, str],
        description: str,
    ) -> FunctionConfig:
        holding = lease(self._store, self._clock, model, holder=self._holder, seconds=self._lease_s)
        with holding, self._restoring(base):
            latest = self._set(base, layers=layers, environment=environment)
            published = self._functions.publish(
                base.function,
                description=description,
                code_sha256=base.code_sha256,
                revision=latest.revision,
            )
            try:
                _must_agree(
                    f"Lambda version {published.version} of `{base.function}`",
                    base.differences(published, layers=layers, environment=environment),
                )
            except DisagreementError as error:
                asked = replace(published, environment=environment)
                self._condemn(Prepared.of(asked, model=model), error)
                raise
        return published

    @contextmanager
    def _restoring(self, base: Base) -> Iterator[None]:
        """Set ``$LATEST`` back to the bare base, also when publishing failed."""
        try:
            yield
        finally:
            self._set(base, layers=base.layers, environment=base.environment)

    def _set(self, base: Base, *, layers: tuple[str, ...], environment: dict[str, str]) -> FunctionConfig:
        """Set ``$LATEST`` to absolute values, wait, and compare every field (law 9)."""
        before = wait_for_update(self._functions, self._clock, base.function)
        if before.code_sha256 != base.code_sha256:
            raise LostRaceError(
                f"the code of `{base.function}` is not the one that its last deploy left",
                hint="A deploy is under way or was not finished: run `cdk deploy --all`, then repeat.",
            )
        latest = before
        if before.layers != layers or before.environment != environment:
            self._configure(base, before, layers=layers, environment=environment)
            # The revision changes once more when the update settles, so it is read again.
            latest = wait_for_update(self._functions, self._clock, base.function)
        _must_agree(f"`{base.function}`", base.differences(latest, layers=layers, environment=environment))
        return latest

    def _configure(
        self, base: Base, seen: FunctionConfig, *, layers: tuple[str, ...], environment: dict[str, str]
    ) -> None:
        """Set ``$LATEST``; asked again when it is busy settling, which publishing makes it now and then.

        Absolute values may be set twice. Whether what was meant is what came out is compared later.
        """
        for attempt in range(1, _CONFIGURE_ATTEMPTS + 1):
            try:
                self._functions.configure(
                    base.function, layers=layers, environment=environment, revision=seen.revision
                )
            except LostRaceError:
                if attempt == _CONFIGURE_ATTEMPTS:
                    raise
                self._clock.sleep(attempt)
                seen = wait_for_update(self._functions, self._clock, base.function)
            else:
                return


def must_run_on(manifest: Manifest, target: str, *, own_image: bool = False) -> None:
    """Refuse what ``target`` cannot run, before anything is packed or published (law 8).

    What a team's own container runs is the team's to know; but nothing that executes code when it is loaded
    (law 12).
    """
    if own_image and manifest.kind != TORCH_PICKLE:
        return
    if manifest.kind not in RUNS_ON[target]:
        kinds = " or ".join("ONNX" if kind == ONNX else kind for kind in RUNS_ON[target])
        where = "a Lambda model" if target == "lambda" else f"a model on {target}"
        raise UnfitVersionError(
            f"`{manifest.ref}` is a {manifest.kind} artifact, and {where} must be {kinds}",
            hint="Export the model to ONNX and publish that as the next version.",
        )
    if not manifest.golden.is_there:
        raise UnfitVersionError(
            f"`{manifest.ref}` has no golden sample, so nothing can check that it answers as it should",
            hint="Publish it again with `--new` and `--sample FILE`.",
        )


def must_have_its_operators(manifest: Manifest, base: Base) -> None:
    """Refuse what the base's runtime layer lacks something for (law 8): it would fail at init."""
    if needs_extensions(manifest.lineage) and base.environment.get(env.RUNTIME) != env.TEXT:
        raise UnfitVersionError(
            f"`{manifest.ref}` uses operators of `{DOMAIN}`, and the runtime layer of `{manifest.model}` "
            "has none of them",
            hint=HINT,
        )
    if manifest.pictures and base.environment.get(env.RUNTIME) != env.IMAGE:
        raise UnfitVersionError(
            f"`{manifest.ref}` takes files of pictures, and the runtime layer of `{manifest.model}` "
            "cannot read them",
            hint='Set `runtime = "image"` for the model in the catalog, deploy, and release again.',
        )


def _pinning(manifest: Manifest, endpoint: str) -> dict[str, str]:
    """What a gateway is told of its endpoint. One that was adopted names neither version nor digest."""
    if not endpoint:
        return {}
    own = {env.OWN_IMAGE: "on"} if endpoint == adopted_endpoint(manifest) else {}
    return {env.ENDPOINT: endpoint, **own}


def _key(prepared: Prepared) -> str:
    return prepared_key(prepared.model, prepared.version, prepared.base, int(prepared.lambda_version))


def served_by(config: FunctionConfig | None) -> int:
    """The model version that a Lambda version serves; ``UNRELEASED`` if it carries no model."""
    if config is None:
        return UNRELEASED
    return int(config.environment.get(env.VERSION, UNRELEASED))


def _must_agree(what: str, differences: list[str]) -> None:
    if differences:
        raise DisagreementError(
            f"{what} is not what was asked for: {'; '.join(differences)}",
            hint="Somebody changed the function meanwhile: run `cdk deploy --all`, then repeat.",
        )
