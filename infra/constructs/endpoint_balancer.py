"""The load balancer of one model on EC2: private, and it knows a version's machines by a header."""

from __future__ import annotations

from dataclasses import dataclass, field

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as balancing
from constructs import Construct

from model_store.contract.endpoints import CONTAINER_PORT, GRPC_PORT

HTTP = 80
GRPC_TLS = 443
IDLE_S = 65
"""Longer than an answer may take, and than the container keeps a connection."""

_NOBODY = '{"error":"no machines of this load balancer serve that endpoint"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointBalancerProps:
    """Where it stands, and who may ask it by gRPC besides the gateway by HTTP.

    By its ``name`` the release controller finds it, and may change its rules.
    """

    name: str
    model: str
    vpc: str
    subnets: tuple[str, ...]
    certificate: str | None = None
    grpc_callers: tuple[str, ...] = field(default=())


class EndpointBalancer(Construct):
    """``balancer``, ``listener``, ``grpc_listener`` where there is a certificate, and three security groups.

    ``gateway_group`` is the function's and may reach the balancer; ``machine_group`` is the machines' and
    lets the balancer in, nobody else, and no SSH. A request that names no endpoint is answered 503 here, and
    stays so by HTTP; by gRPC a rule of the release controller, which no template holds, comes before that.
    """

    def __init__(self, scope: Construct, id_: str, *, props: EndpointBalancerProps) -> None:
        super().__init__(scope, id_)
        self._vpc = props.vpc
        self.gateway_group = self._group(
            "Gateway", f"The gateway of {props.model}", out=(("0.0.0.0/0", HTTP, "to the load balancer"),)
        )
        self.group = self._group(
            "Balancer",
            f"The load balancer of {props.model}",
            out=tuple(("0.0.0.0/0", port, "to the containers") for port in (CONTAINER_PORT, GRPC_PORT)),
            into=((self.gateway_group, HTTP, "the gateway"),),
            networks=tuple((network, GRPC_TLS, "gRPC callers") for network in props.grpc_callers),
        )
        self.machine_group = self._group(
            "Machines",
            f"The machines of {props.model}",
            # S3, ECR, CloudWatch and the session manager, all of them by TLS.
            out=(("0.0.0.0/0", 443, "AWS's own services"),),
            into=tuple((self.group, port, "the load balancer") for port in (CONTAINER_PORT, GRPC_PORT)),
        )
        self.balancer = balancing.CfnLoadBalancer(
            self,
            "LoadBalancer",
            name=props.name,
            scheme="internal",
            type="application",
            subnets=list(props.subnets),
            security_groups=[self.group.attr_group_id],
            load_balancer_attributes=[
                balancing.CfnLoadBalancer.LoadBalancerAttributeProperty(key=key, value=value)
                for key, value in (
                    ("routing.http.drop_invalid_header_fields.enabled", "true"),
                    ("idle_timeout.timeout_seconds", str(IDLE_S)),
                )
            ],
        )
        self.listener = self._listener("Http", HTTP, "HTTP", None)
        self.grpc_listener = (
            self._listener("Grpc", GRPC_TLS, "HTTPS", props.certificate) if props.certificate else None
        )

    @property
    def url(self) -> str:
        return f"http://{self.balancer.attr_dns_name}"

    def _listener(self, id_: str, port: int, protocol: str, certificate: str | None) -> balancing.CfnListener:
        return balancing.CfnListener(
            self,
            id_,
            load_balancer_arn=self.balancer.ref,
            port=port,
            protocol=protocol,
            ssl_policy="ELBSecurityPolicy-TLS13-1-2-2021-06" if certificate else None,
            certificates=[balancing.CfnListener.CertificateProperty(certificate_arn=certificate)]
            if certificate
            else None,
            default_actions=[
                balancing.CfnListener.ActionProperty(
                    type="fixed-response",
                    fixed_response_config=balancing.CfnListener.FixedResponseConfigProperty(
                        status_code="503", content_type="application/json", message_body=_NOBODY
                    ),
                )
            ],
        )

    def _group(
        self,
        id_: str,
        description: str,
        *,
        out: tuple[tuple[str, int, str], ...],
        into: tuple[tuple[ec2.CfnSecurityGroup, int, str], ...] = (),
        networks: tuple[tuple[str, int, str], ...] = (),
    ) -> ec2.CfnSecurityGroup:
        group = ec2.CfnSecurityGroup
        return group(
            self,
            id_,
            group_description=description,
            vpc_id=self._vpc,
            security_group_egress=[
                group.EgressProperty(
                    ip_protocol="tcp", cidr_ip=cidr, from_port=port, to_port=port, description=why
                )
                for cidr, port, why in out
            ],
            security_group_ingress=[
                *(
                    group.IngressProperty(
                        ip_protocol="tcp",
                        source_security_group_id=source.attr_group_id,
                        from_port=port,
                        to_port=port,
                        description=why,
                    )
                    for source, port, why in into
                ),
                *(
                    group.IngressProperty(
                        ip_protocol="tcp", cidr_ip=cidr, from_port=port, to_port=port, description=why
                    )
                    for cidr, port, why in networks
                ),
            ],
        )
