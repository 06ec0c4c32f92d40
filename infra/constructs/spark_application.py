"""Spark for the data step: an EMR Serverless application, free while no job runs, and the role of its jobs.

Sources: EMR Serverless user guide, "Job runtime roles", "Customizing an EMR Serverless image", "Storing
logs" and "Worker configurations"; CloudFormation, ``AWS::EMRServerless::Application``.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_emrserverless as emr
from aws_cdk import aws_iam as iam
from constructs import Construct

from catalog.training import Spark
from infra.constructs.python_function import ROLE_PATH

LOGS = "pipelines/spark-logs/"
"""Where jobs log, in the training bucket: forgotten like what they made."""

IDLE_MINUTES = 5
DISK_GB_PER_VCPU = 20


class SparkApplication(Construct):
    """``application`` and ``role``, as which its jobs run; the role has no permission yet."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        name: str,
        spark: Spark,
        bucket: str,
        key: str,
        account: str,
        subnets: Sequence[str] = (),
        security_groups: Sequence[str] = (),
    ) -> None:
        super().__init__(scope, id_)
        self.role = iam.Role(
            self,
            "Role",
            path=ROLE_PATH,
            description="Reads and cleans data on Spark",
            assumed_by=iam.ServicePrincipal("emr-serverless.amazonaws.com").with_conditions(
                {"StringEquals": {"aws:SourceAccount": account}}
            ),
        )
        self.application = emr.CfnApplication(
            self,
            "Application",
            name=name,
            type="SPARK",
            release_label=spark.release,
            architecture=spark.architecture,
            image_configuration=emr.CfnApplication.ImageConfigurationInputProperty(image_uri=spark.image),
            auto_start_configuration=emr.CfnApplication.AutoStartConfigurationProperty(enabled=True),
            auto_stop_configuration=emr.CfnApplication.AutoStopConfigurationProperty(
                enabled=True, idle_timeout_minutes=IDLE_MINUTES
            ),
            maximum_capacity=emr.CfnApplication.MaximumAllowedResourcesProperty(
                cpu=f"{spark.max_vcpu} vCPU",
                memory=f"{spark.max_memory_gb} GB",
                disk=f"{spark.max_vcpu * DISK_GB_PER_VCPU} GB",
            ),
            monitoring_configuration=emr.CfnApplication.MonitoringConfigurationProperty(
                s3_monitoring_configuration=emr.CfnApplication.S3MonitoringConfigurationProperty(
                    log_uri=f"s3://{bucket}/{LOGS}", encryption_key_arn=key
                ),
                # What AWS would keep besides is under a key of its own.
                managed_persistence_monitoring_configuration=(
                    emr.CfnApplication.ManagedPersistenceMonitoringConfigurationProperty(enabled=False)
                ),
            ),
            network_configuration=(
                emr.CfnApplication.NetworkConfigurationProperty(
                    subnet_ids=list(subnets), security_group_ids=list(security_groups)
                )
                if subnets
                else None
            ),
        )
