"""The container image that endpoints run: built from this repository, or one that somebody names."""

from __future__ import annotations

from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecr_assets as ecr_assets
from constructs import Construct

from catalog.instances import Device
from infra.bundles import Tree

DOCKERFILE = "functions/endpoint/Dockerfile"

_PLATFORMS = {
    "x86_64": ecr_assets.Platform.LINUX_AMD64,
    "arm64": ecr_assets.Platform.LINUX_ARM64,
}


class EndpointImage(Construct):
    """``uri`` says where the image is, ``identity`` which one it is, the same on every machine.

    A synth hashes the sources and builds nothing; ``cdk deploy`` builds, if the image is not there yet.
    ``repository`` is where a role has to be able to pull it from, if it is of this account's making.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        named: str | None,
        sources: Tree,
        device: Device,
        machine: str,
    ) -> None:
        super().__init__(scope, id_)
        self.repository: ecr.IRepository | None = None
        if named is not None:
            self.uri = named
            self.identity = named
            return
        asset = ecr_assets.DockerImageAsset(
            self,
            "Built",
            directory=str(sources.path),
            file=DOCKERFILE,
            build_args={"DEVICE": device},
            platform=_PLATFORMS[machine],
            display_name=f"Switchyard endpoint for {device} on {machine}",
        )
        self.uri = asset.image_uri
        self.repository = asset.repository
        self.identity = f"{sources.digest} {device} {machine}"
